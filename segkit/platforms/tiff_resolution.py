"""Resolution of TIFF files, which grand-challenge.org asks for in the images of its algorithms."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from segkit.files.atomic import atomic_path
from segkit.io import is_slide

TAGS = {"x_resolution": 282, "y_resolution": 283, "resolution_unit": 296}
"""TIFF tags of the pixels in an inch or a centimeter, by Pillow's names for them."""


def copy_resolution(source: Path, target: Path) -> None:
    """Give a label map the resolution of its scan; both are TIFF.

    segkit writes label maps of pictures without a resolution, because models of pictures do not use
    it. If the scan has none, the label map stays as it is.
    """
    found = _slide_tags(source) if is_slide(source) else _picture_tags(source)
    if len(found) < len(TAGS):
        return
    if is_slide(target):
        _set_slide_tags(target, found)
    else:
        _set_picture_tags(target, found)


def _picture_tags(path: Path) -> dict[str, Any]:
    from PIL import Image  # noqa: PLC0415

    with Image.open(path) as picture:
        tags = getattr(picture, "tag_v2", {})
        return {name: tags[tag] for name, tag in TAGS.items() if tag in tags}


def _set_picture_tags(path: Path, found: dict[str, Any]) -> None:
    from PIL import Image  # noqa: PLC0415

    content = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(content, "TIFF", **found)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _slide_tags(path: Path) -> dict[str, Any]:
    import tifffile  # noqa: PLC0415

    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        return {name: tags[tag].value for name, tag in TAGS.items() if tag in tags}


def _set_slide_tags(path: Path, found: dict[str, Any]) -> None:
    import tifffile  # noqa: PLC0415

    with tifffile.TiffFile(path, mode="r+") as file:
        for name, tag in TAGS.items():
            file.pages.first.tags[tag].overwrite(found[name])
