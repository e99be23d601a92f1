"""The cases that a dataset.json lists: "training" of the Decathlon and nnU-Net v1, "dataset" of nnU-Net v2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from segkit.channel_files import channel_files
from segkit.dataset import Case
from segkit.dataset_paths import located, unlisted_notice
from segkit.errors import InputError
from segkit.file_names import case_id


def training_cases(folder: Path, pairs: Any) -> tuple[list[Case], list[str]]:
    """Return the cases of a list of pairs {image, label}, and a notice of scans in imagesTr that it leaves out.

    nnU-Net v1 names images without the number of the channel that their files have.

    Raises:
        InputError: anything else.
    """
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise InputError(
            folder / "dataset.json",
            expected="a list of pairs {image, label} under 'training'",
            found="other entries",
            remedy='Write each as {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}.',
        )
    cases = [
        Case(case_id(image), channel_files(image), located(folder, pair["label"]))
        for pair, image in ((pair, located(folder, pair["image"])) for pair in pairs)
    ]
    return cases, unlisted_notice(folder / "imagesTr", [path for case in cases for path in case.images])


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("image", "label"))


def listed_cases(folder: Path, entries: Any) -> list[Case]:
    """Return the cases of a mapping CASE -> {images: [...], label: ...}, whose paths may have variables as in $DATA.

    Raises:
        InputError: anything else.
    """
    if not isinstance(entries, dict) or not all(_is_entry(entry) for entry in entries.values()):
        raise InputError(
            folder / "dataset.json",
            expected="cases {images, label} under 'dataset'",
            found="other entries",
            remedy='Write each as "CASE": {"images": ["a.nii.gz"], "label": "b.nii.gz"}.',
        )
    return [
        Case(name, tuple(_path(folder, image) for image in entry["images"]), _path(folder, entry["label"]))
        for name, entry in entries.items()
    ]


def _path(folder: Path, text: str) -> Path:
    return located(folder, os.path.expandvars(text))


def _is_entry(entry: Any) -> bool:
    images = entry.get("images") if isinstance(entry, dict) else None
    return (
        isinstance(images, list)
        and len(images) > 0
        and all(isinstance(image, str) for image in images)
        and isinstance(entry.get("label"), str)
    )
