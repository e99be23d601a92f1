"""Find the cases of a dataset: from a list in dataset.json, or by file names in two folders.

training       pairs {image, label} in a dataset.json of the Decathlon
dataset        CASE -> {images, label} in a dataset.json of nnU-Net
folders        imagesTr and labelsTr of nnU-Net, or images and labels
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.dataset.channel_files import channel_files, duplicate_case, group_channels
from segkit.dataset.dataset import Case, IncompleteCase
from segkit.dataset.pairs import check_running_numbers, pair_by_name
from segkit.dataset.paths import find_path, unlisted_notice
from segkit.errors import InputError
from segkit.files.left_out import foreign_files, left_out_notices
from segkit.files.names import READABLE, case_id, listed, readable_files, suffix_of
from segkit.io.dicom.files.folders import dicom_cases

# -- listed in a dataset.json -------------------------------------------------------------------


def training_cases(
    folder: Path, pairs: Any, *, incomplete: list[IncompleteCase] | None = None
) -> tuple[list[Case], list[str]]:
    """Return the cases listed under ``training``, and a notice of unlisted scans in imagesTr.

    An image may be listed without the channel numbers of its files, as in nnU-Net v1.

    Args:
        folder: the dataset's folder.
        pairs: the list.
        incomplete: list to which cases are appended that lack a channel, instead of an error.

    Raises:
        InputError: ``pairs`` is not a list of pairs {image, label}.
    """
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise InputError(
            folder / "dataset.json",
            expected="a list of pairs {image, label} under 'training'",
            found="other entries",
            remedy='Write each as {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}.',
        )
    cases = []
    for pair in pairs:
        image = find_path(folder, pair["image"])
        label = find_path(folder, pair["label"])
        before = len(incomplete or ())
        files = channel_files(image, incomplete=incomplete)
        if len(incomplete or ()) == before:
            cases.append(Case(case_id(image), files, label))
    images = [path for case in cases for path in case.images]
    images += [path for case in incomplete or () for path in case.files]
    return cases, unlisted_notice(folder / "imagesTr", images)


def listed_cases(folder: Path, entries: Any) -> list[Case]:
    """Return the cases of the entry ``dataset``: CASE -> {images: [...], label: ...}.

    Paths may contain environment variables, such as $DATA.

    Raises:
        InputError: an entry has another form.
    """
    if not isinstance(entries, dict) or not all(_is_entry(entry) for entry in entries.values()):
        raise InputError(
            folder / "dataset.json",
            expected="cases {images, label} under 'dataset'",
            found="other entries",
            remedy='Write each as "CASE": {"images": ["a.nii.gz"], "label": "b.nii.gz"}.',
        )
    cases = []
    for name, entry in entries.items():
        images = tuple(_expanded_path(folder, image) for image in entry["images"])
        cases.append(Case(name, images, _expanded_path(folder, entry["label"])))
    return cases


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("image", "label")
    )


def _is_entry(entry: Any) -> bool:
    images = entry.get("images") if isinstance(entry, dict) else None
    return (
        isinstance(images, list)
        and len(images) > 0
        and all(isinstance(image, str) for image in images)
        and isinstance(entry.get("label"), str)
    )


def _expanded_path(folder: Path, text: str) -> Path:
    return find_path(folder, os.path.expandvars(text))


# -- by the names of files ------------------------------------------------------------------------


def nnunet_cases(
    folder: Path,
    channels: Sequence[str],
    ending: str,
    *,
    incomplete: list[IncompleteCase] | None = None,
) -> tuple[list[Case], list[str]]:
    """Return the cases in imagesTr and labelsTr, and notices of files that are left out.

    Args:
        folder: the dataset's folder.
        channels: channel names, for messages only.
        ending: ``file_ending`` of the dataset.json; files with another ending are left out.
        incomplete: list to which cases are appended that lack a file, instead of an error.

    Raises:
        InputError: a folder is missing or empty, a file has no partner, or file names do not end
            in channel numbers.
    """
    image_folder, label_folder = folder / "imagesTr", folder / "labelsTr"
    images, other_images = _by_ending(image_folder, ending)
    label_files, other_labels = _by_ending(label_folder, ending)
    labels = _by_id(label_folder, label_files)
    check_running_numbers(image_folder, images, labels)
    scans = group_channels(images, channels, incomplete=incomplete)
    if incomplete and not scans.keys() & labels.keys():
        group_channels(images, channels)  # with no complete case, a gap is the error
    for case in incomplete or ():  # its label map has a scan, though not all of it
        labels.pop(case.id, None)
    others = [*other_images, *other_labels]
    cases, notices = _pair(label_folder, scans, labels, others, incomplete=incomplete)
    notices += left_out_notices(image_folder, excluded=other_images, ending=ending, taken=images)
    notices += left_out_notices(
        label_folder, excluded=other_labels, ending=ending, taken=label_files
    )
    return cases, notices


def two_folder_cases(
    folder: Path, *, incomplete: list[IncompleteCase] | None = None
) -> tuple[list[Case], list[str]]:
    """Return the cases in images and labels, and notices of files that are left out.

    Args:
        folder: the dataset's folder.
        incomplete: list to which cases are appended that lack a file, instead of an error.

    Raises:
        InputError: a folder is missing or empty, a file has no partner, or two files belong to one
            case.
    """
    image_folder, label_folder = folder / "images", folder / "labels"
    images = _by_id(image_folder, _files(image_folder))
    labels = _by_id(label_folder, _files(label_folder))
    scans = {name: (image,) for name, image in images.items()}
    cases, notices = _pair(label_folder, scans, labels, incomplete=incomplete)
    notices += left_out_notices(image_folder, taken=list(images.values()))
    notices += left_out_notices(label_folder, taken=list(labels.values()))
    return cases, notices


def _by_ending(folder: Path, ending: str) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder whose names end in ``ending``, ignoring case, and the others.

    DICOM files, folders and zips have no fixed ending and always count as matching.
    """
    files = _files(folder)
    matching = [
        path
        for path in files
        if path.name.lower().endswith(ending.lower()) or suffix_of(path) not in READABLE
    ]
    return matching, [path for path in files if path not in matching]


def _pair(
    label_folder: Path,
    scans: Mapping[str, tuple[Path, ...]],
    labels: Mapping[str, Path],
    excluded: Sequence[Path] = (),
    *,
    incomplete: list[IncompleteCase] | None,
) -> tuple[list[Case], list[str]]:
    """Return the result of `pair_by_name`; its messages name ``excluded`` files as candidates."""
    folders = {path.parent for files in scans.values() for path in files} | {label_folder}
    foreign = [path for folder in folders for path in foreign_files(folder)]
    return pair_by_name(
        label_folder, scans, labels, not_read=[*excluded, *foreign], incomplete=incomplete
    )


def _by_id(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in files:
        name = case_id(path)
        if name in paths:
            raise duplicate_case(folder, name, (paths[name], path))
        paths[name] = path
    return paths


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise _no_files(folder, "no such folder")
    files = [*readable_files(folder), *dicom_cases(folder)]
    if not files:
        suffixes = listed(READABLE)
        raise _no_files(folder, f"no file with one of the suffixes {suffixes}, and no DICOM")
    return files


def _no_files(folder: Path, found: str) -> InputError:
    return InputError(
        folder,
        expected="images or label maps",
        found=found,
        remedy="Add or convert the files.",
    )
