"""Explain why a folder is not a dataset: what it looks like, and how to turn it into one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from segkit.errors import InputError
from segkit.files.names import readable_files

LAYOUTS = (
    "dataset.json (Medical Segmentation Decathlon), imagesTr and labelsTr (nnU-Net), images and"
    " labels, or a CSV file"
)
_DATASET_SIGNS = ("dataset.json", "imagesTr", "images")
_IMAGE_FOLDERS = ("image", "imgs", "img", "scans", "images")
_LABEL_FOLDERS = ("label", "masks", "mask", "segmentations", "segs", "annotations", "labels")
_OTHER_HALF = {
    "images": "labels",
    "labels": "images",
    "imagesTr": "labelsTr",
    "labelsTr": "imagesTr",
}
Explanation = tuple[str, str]
"""Description of the folder, and the remedy."""


def no_dataset(folder: Path) -> InputError:
    """Return the error for a folder without a known layout, with a remedy that fits its content."""
    for explain in _EXPLANATIONS:
        explanation = explain(folder)
        if explanation:
            found, remedy = explanation
            return InputError(folder, expected=LAYOUTS, found=found, remedy=remedy)
    return InputError(
        folder,
        expected=LAYOUTS,
        found="none of them in this folder",
        remedy=(
            "Arrange the files in one of these ways. The simplest: move the scans to images and the"
            " label maps to labels, under equal names (data/README.md)."
        ),
    )


def _run(folder: Path) -> Explanation | None:
    """Recognize the output folder of a training or a study."""
    if not all((folder / name).is_file() for name in ("config.yaml", "plan.json")):
        return None
    predict = f"To predict with it: segkit predict SCAN -m {quote(str(folder))}."
    if (folder / "folds.json").is_file():
        remedy = f"To resume it, repeat the command that started it. {predict}"
        return "the folder of a study", remedy
    resume = f"segkit train {quote(f'run_dir={folder}')} --resume"
    return "the folder of a training", f"To resume it: {resume}. {predict}"


def _half_of_dataset(folder: Path) -> Explanation | None:
    path = Path(os.path.abspath(folder))
    if path.name not in _OTHER_HALF or not (path.parent / _OTHER_HALF[path.name]).is_dir():
        return None
    # The relative path "." has no parent to name, so name the absolute one.
    both = folder.parent if len(folder.parts) > 1 else path.parent
    return "one of the two folders of a dataset", f"Give the folder that holds both: {both}."


def _broken_link(folder: Path) -> Explanation | None:
    names = ("imagesTr", "labelsTr", "images", "labels")
    for path in sorted(folder.iterdir()):
        if path.name in names and path.is_symlink() and not path.exists():
            found = f"{path.name}, a link to {os.readlink(path)}, which is not there"
            return found, "Correct or replace the link."
    return None


def _masks_per_structure(folder: Path) -> Explanation | None:
    """Recognize the layout of TotalSegmentator: CASE/segmentations/STRUCTURE.nii.gz."""
    for mask_folder in sorted(folder.glob("*/segmentations"))[:1]:
        masks = readable_files(mask_folder) if mask_folder.is_dir() else []
        if masks:
            example = f"{mask_folder.parent.name}/{mask_folder.name}/{masks[0].name}"
            return (
                f"one mask per structure, such as {example}",
                "Merge the masks of each case into one label map: data/README.md shows how, in a"
                " few lines.",
            )
    return None


def _folders_of_other_names(folder: Path) -> Explanation | None:
    names = [path.name for path in _folders(folder)]
    images = [name for name in names if name.lower() in _IMAGE_FOLDERS]
    labels = [name for name in names if name.lower() in _LABEL_FOLDERS]
    if not images or not labels:
        return None
    return f"the folders {images[0]} and {labels[0]}", "Rename them to images and labels."


def _dataset_below(folder: Path) -> Explanation | None:
    for path in _folders(folder):
        if any((path / sign).exists() for sign in _DATASET_SIGNS):
            return f"a dataset in the folder {path.name}", f"Give {path}."
    return None


def _table(folder: Path) -> Explanation | None:
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        return None
    return f"the CSV file {tables[0].name}", f"Give the file: {tables[0]}."


def _folder_per_case(folder: Path) -> Explanation | None:
    for path in _folders(folder):
        files = readable_files(path)
        if files:
            return (
                f"none of them, but files in subfolders, such as {path.name}/{files[0].name}",
                "List the files in a CSV file with the columns case,image,label (data/README.md).",
            )
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


_EXPLANATIONS: tuple[Callable[[Path], Explanation | None], ...] = (
    _run,
    _half_of_dataset,
    _broken_link,
    _masks_per_structure,
    _folders_of_other_names,
    _dataset_below,
    _table,
    _folder_per_case,
)
"""Functions that recognize a kind of folder, most specific first."""
