"""Small picture of one case: three planes of its first channel with the outlines of its labels."""

from __future__ import annotations

import io
from collections.abc import Mapping

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseVoxels
from segkit.report.preview import draw_thumbnail
from segkit.volume import Volume

PIXELS = 150
"""Length in pixels of the longest edge of a scan in each plane."""
QUALITY = 80
"""Quality of the JPEG: about 10 kB for three planes."""


def names_of_indices(dataset: Dataset) -> dict[str, int]:
    """Return the index of each class in the label map, from 1; for regions these are its values."""
    return {name: number + 1 for number, name in enumerate(dataset.targets)}


def thumbnail(voxels: CaseVoxels, dataset: Dataset) -> bytes:
    """Return the picture of one case as JPEG; ignored voxels are not outlined."""
    labels = voxels.scan.with_array(voxels.annotated(dataset)[None])
    return jpeg(voxels.scan, labels, names_of_indices(dataset))


def jpeg(scan: Volume, labels: Volume, names: Mapping[str, int]) -> bytes:
    """Return the picture of a scan with the outlines of a label map on its grid as JPEG."""
    image = draw_thumbnail(scan, labels, names, longest=PIXELS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
