"""The cases of layouts that list nothing: nnU-Net's imagesTr and labelsTr, and two folders images and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.dataset.channel_files import case_twice, group_channels
from segkit.dataset.dataset import Case
from segkit.dataset.pairs import check_running_numbers, paired
from segkit.errors import InputError
from segkit.files.left_out import foreign_files, left_out_notices
from segkit.files.names import READABLE, case_id, listed, readable_files, suffix_of
from segkit.io.dicom.files.folders import dicom_cases


def nnunet_cases(
    folder: Path, channels: Sequence[str], ending: str
) -> tuple[list[Case], list[str]]:
    """Return the cases of imagesTr and labelsTr whose files end in ``ending``, and notices of what is left out.

    Raises:
        InputError: an empty folder, a file without partner, or numbers that are not those of channels.
    """
    images, others = _of_ending(folder / "imagesTr", ending)
    maps, more = _of_ending(folder / "labelsTr", ending)
    labels = _by_id(folder / "labelsTr", maps)
    check_running_numbers(folder / "imagesTr", images, labels)
    scans = group_channels(images, channels)
    cases, notices = _paired(folder / "labelsTr", scans, labels, [*others, *more])
    for place, taken, excluded in (
        (folder / "imagesTr", images, others),
        (folder / "labelsTr", maps, more),
    ):
        notices += left_out_notices(place, excluded=excluded, ending=ending, taken=taken)
    return cases, notices


def two_folder_cases(folder: Path) -> tuple[list[Case], list[str]]:
    """Return the cases of images and labels, and notices of what is left out.

    Raises:
        InputError: an empty folder, a file without partner, or two of one name.
    """
    images, labels = (
        _by_id(place, _files(place)) for place in (folder / "images", folder / "labels")
    )
    cases, notices = _paired(
        folder / "labels", {name: (image,) for name, image in images.items()}, labels
    )
    for place, taken in ((folder / "images", images), (folder / "labels", labels)):
        notices += left_out_notices(place, taken=list(taken.values()))
    return cases, notices


def _of_ending(folder: Path, ending: str) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder that end in ``ending``, in small or capital letters, and the others."""
    files = _files(folder)
    # A folder or zip of DICOM has an ending that says nothing.
    kept = [
        path
        for path in files
        if path.name.lower().endswith(ending.lower()) or suffix_of(path) not in READABLE
    ]
    return kept, [path for path in files if path not in kept]


def _paired(
    where: Path,
    scans: Mapping[str, tuple[Path, ...]],
    labels: Mapping[str, Path],
    excluded: Sequence[Path] = (),
) -> tuple[list[Case], list[str]]:
    """Return the cases, and notices of those left out; ``excluded`` files may be missing partners."""
    folders = {path.parent for files in scans.values() for path in files} | {where}
    return paired(
        where,
        scans,
        labels,
        not_taken=[*excluded, *(path for each in folders for path in foreign_files(each))],
    )


def _by_id(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        if case_id(path) in found:
            raise case_twice(folder, case_id(path), (found[case_id(path)], path))
        found[case_id(path)] = path
    return found


def _files(folder: Path) -> list[Path]:
    found = [*readable_files(folder), *dicom_cases(folder)] if folder.is_dir() else []
    if not found:
        none = f"no file with one of the suffixes {listed(READABLE)}, and no DICOM"
        reason = none if folder.is_dir() else "no such folder"
        raise InputError(
            folder,
            expected="images or label maps",
            found=reason,
            remedy="Add or convert the files.",
        )
    return found
