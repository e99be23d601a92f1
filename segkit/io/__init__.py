"""Reading and writing of scans and label maps.

The library for a format is imported when the first file of that format is opened.
"""

from __future__ import annotations

from segkit.io.labels import check_labels_fit, labels_in, read_labels, write_labels
from segkit.io.memory import available_memory
from segkit.io.placement import place_on_grid
from segkit.io.scans import (
    from_object,
    is_slide,
    open_source,
    read_case,
    read_source,
    read_volume,
    write_image,
)

__all__ = [
    "available_memory",
    "check_labels_fit",
    "from_object",
    "is_slide",
    "labels_in",
    "open_source",
    "place_on_grid",
    "read_case",
    "read_labels",
    "read_source",
    "read_volume",
    "write_image",
    "write_labels",
]
