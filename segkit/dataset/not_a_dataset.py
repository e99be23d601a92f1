"""A folder that is no dataset: what it looks like, and how it becomes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from segkit.errors import InputError
from segkit.files.names import readable_files

LAYOUTS = "dataset.json (Medical Segmentation Decathlon), imagesTr and labelsTr (nnU-Net), images and labels, or a CSV file"
_SIGNS = ("dataset.json", "imagesTr", "images")
_IMAGES = ("image", "imgs", "img", "scans", "images")
_LABELS = ("label", "masks", "mask", "segmentations", "segs", "annotations", "labels")
_PARTS = {"images": "labels", "labels": "images", "imagesTr": "labelsTr", "labelsTr": "imagesTr"}
Look = tuple[str, str]
"""What was found, and what to do about it."""


def no_dataset(folder: Path) -> InputError:
    """Return the error for a folder in which no layout was found, with the way on for what is there."""
    looks = (look(folder) for look in _LOOKS)
    nothing = "none of them in this folder", "Arrange the files in one of these ways."
    found, remedy = next((look for look in looks if look), nothing)
    return InputError(folder, expected=LAYOUTS, found=found, remedy=remedy)


def _run(folder: Path) -> Look | None:
    """Look for what a training or a study writes."""
    if not all((folder / name).is_file() for name in ("config.yaml", "plan.json")):
        return None
    predict = f"To predict with it: segkit predict SCAN -m {quote(str(folder))}."
    if (folder / "folds.json").is_file():
        return (
            "the folder of a study",
            f"To go on with it, repeat the command that started it. {predict}",
        )
    resume = f"segkit train {quote(f'run_dir={folder}')} --resume"
    return "the folder of a training", f"To go on with it: {resume}. {predict}"


def _part_of_dataset(folder: Path) -> Look | None:
    place = Path(os.path.abspath(folder))
    if place.name not in _PARTS or not (place.parent / _PARTS[place.name]).is_dir():
        return None
    both = folder.parent if len(folder.parts) > 1 else place.parent  # "." is the parent of "."
    return "one of the two folders of a dataset", f"Give the folder that holds both: {both}."


def _masks_per_structure(folder: Path) -> Look | None:
    """Look for TotalSegmentator's layout: CASE/ct.nii.gz and CASE/segmentations/STRUCTURE.nii.gz."""
    for place in sorted(folder.glob("*/segmentations"))[:1]:
        masks = readable_files(place) if place.is_dir() else []
        if masks:
            found = (
                f"one mask per structure, such as {place.parent.name}/{place.name}/{masks[0].name}"
            )
            return (
                found,
                "Join the masks of each case in one label map: data/README.md shows how, in a few lines.",
            )
    return None


def _folders_of_other_names(folder: Path) -> Look | None:
    names = [path.name for path in _folders(folder)]
    images = [name for name in names if name.lower() in _IMAGES]
    labels = [name for name in names if name.lower() in _LABELS]
    return (
        (f"the folders {images[0]} and {labels[0]}", "Call them images and labels.")
        if images and labels
        else None
    )


def _dangling_folder(folder: Path) -> Look | None:
    links = [path for path in sorted(folder.iterdir()) if path.is_symlink() and not path.exists()]
    named = [path for path in links if path.name in ("imagesTr", "labelsTr", "images", "labels")]
    if not named:
        return None
    return (
        f"{named[0].name}, a link to {os.readlink(named[0])}, which is not there",
        "Correct or replace the link.",
    )


def _dataset_below(folder: Path) -> Look | None:
    places = [path for path in _folders(folder) if any((path / sign).exists() for sign in _SIGNS)]
    return (f"a dataset in the folder {places[0].name}", f"Give {places[0]}.") if places else None


def _table(folder: Path) -> Look | None:
    tables = sorted(folder.glob("*.csv"))
    return (f"the CSV file {tables[0].name}", f"Give the file: {tables[0]}.") if tables else None


def _folder_per_case(folder: Path) -> Look | None:
    for place in _folders(folder):
        files = readable_files(place)
        if files:
            found = (
                f"none of them, and files in folders below, such as {place.name}/{files[0].name}"
            )
            return (
                found,
                "List the files in a CSV file with the columns case,image,label (data/README.md).",
            )
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


_LOOKS: tuple[Callable[[Path], Look | None], ...] = (
    _run,
    _part_of_dataset,
    _dangling_folder,
    _masks_per_structure,
    _folders_of_other_names,
    _dataset_below,
    _table,
    _folder_per_case,
)
