"""Find the scans in a folder: which files are scans, and which are channels of the same scan."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import InputError
from segkit.files.left_out import count_text, folders_with_scans, foreign_scans, paths_text
from segkit.files.names import (
    BESIDE,
    ENDING,
    READABLE,
    case_id,
    is_segmentation_file,
    listed,
    natural_key,
    scan_paths,
    suffix_of,
)
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.scan import Scan
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.dicom.files.zips import ZIP

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(.+)_([0-9]{4})")


def scans_of_folder(folder: Path, channels: ModelChannels) -> list[Scan]:
    """Return the scans directly inside a folder.

    A file in a format that is not read becomes a scan with a problem: it fails, and the others can
    still be predicted.

    Args:
        folder: the folder.
        channels: channels of the model.

    Raises:
        InputError: the folder has no scan.
    """
    paths = _without_segmentations(_without_own_outputs(scan_paths(folder)))
    _warn_of_subfolders(folder)
    foreign = [_foreign(path) for path in foreign_scans(folder, paths)]
    dicom = [_dicom(path) for path in _dicom_paths(folder)]
    return [*_by_channels(paths, channels), *foreign, *dicom]


def _dicom_paths(folder: Path) -> list[Path]:
    """Return the DICOM zips, folders, and first single file among scans of other formats."""
    entries = sorted(
        (path for path in folder.iterdir() if not path.name.startswith(".")),
        key=lambda path: natural_key(path.name),
    )
    dicom = [
        path for path in entries if is_dicom(path) and not list(path.glob("predictions*.json"))
    ]
    studies = [path for path in dicom if path.is_dir() or suffix_of(path) == ZIP]
    single_files = [path for path in dicom if path not in studies]
    return [*studies, *single_files[:1]]


def _dicom(path: Path) -> Scan:
    """Return DICOM beside other formats as a scan with a problem, so that it is counted."""
    problem = InputError(
        path,
        expected="scans of one kind in a folder: files such as .nii.gz, or DICOM",
        found="DICOM beside scans of other formats",
        remedy="Put DICOM folders, files and zips into a folder of their own.",
    )
    return Scan(path.name, (path,), problem=problem)


def _foreign(path: Path) -> Scan:
    """Return a file in another format as a scan with a problem, so that it is counted."""
    problem = InputError(
        path,
        expected=f"one of the formats {listed(READABLE)}",
        found=f"the suffix {suffix_of(path)!r}",
        remedy="Convert the file, for example to .nii.gz, or remove it from the folder.",
    )
    return Scan(path.name, (path,), problem=problem)


def _without_segmentations(paths: Sequence[Path]) -> list[Path]:
    """Leave out files that 3D Slicer names as segmentations, unless there are no others."""
    scans = [path for path in paths if not is_segmentation_file(path)]
    if not scans or len(scans) == len(paths):
        return list(paths)
    others = [path for path in paths if path not in scans]
    log.warning(
        "%s left out, because of names for segmentations: %s",
        count_text(others),
        paths_text(others),
    )
    return scans


def _warn_of_subfolders(folder: Path) -> None:
    """Log that scans in subfolders are left out; folders that predict has written are not named."""
    nested = [
        path for path in folders_with_scans(folder) if not list(path.glob("predictions*.json"))
    ]
    if nested:
        log.warning(
            "scans in subfolders are left out: %s; give these folders as well", paths_text(nested)
        )


def _by_channels(paths: Sequence[Path], channels: ModelChannels) -> list[Scan]:
    """Return the scans of files that may be named CASE_0000, CASE_0001 ... by channel."""
    scans = _grouped(paths)
    if _are_channels(scans, channels):
        return [_with_channels(scan, channels) for scan in scans]
    _warn_of_numbers(scans)
    return [Scan(case_id(path), (path,)) for path in paths]


def _are_channels(scans: Sequence[Scan], channels: ModelChannels) -> bool:
    """Return whether four digits at the end of names are channel numbers, as nnU-Net writes them.

    They are if one case has exactly the model's channels; for a single channel, if every case does.
    """
    indices = list(range(len(channels.names)))
    complete = [scan.numbered and _numbers(scan) == indices for scan in scans]
    if all(complete) or (len(indices) > 1 and any(complete)):
        return True
    partial = [scan.numbered and set(_numbers(scan)) <= set(indices) for scan in scans]
    return channels.fills is not None and all(partial)


def _warn_of_numbers(scans: Sequence[Scan]) -> None:
    """Log that digits at the end of names are not taken for channels, although they look so."""
    counts = {len(scan.images) for scan in scans}
    if len(scans) < 2 or len(counts) > 1 or counts == {1}:
        return
    if all(_runs_from_0(scan) for scan in scans):
        log.warning(
            "%s and others are taken as scans of their own, because the model has other channels; "
            "if the numbers are those of channels, give a model with %d channels",
            scans[0].images[-1].name,
            len(scans[0].images),
        )


def _runs_from_0(scan: Scan) -> bool:
    return scan.numbered and _numbers(scan) == list(range(len(scan.images)))


def _numbers(scan: Scan) -> list[int]:
    return [int(case_id(path)[-4:]) for path in scan.images]


def _with_channels(scan: Scan, channels: ModelChannels) -> Scan:
    """Return a numbered scan with its missing channels, or with a problem if they are needed."""
    if not scan.numbered:
        return scan
    numbers = set(_numbers(scan))
    missing = [index for index in range(len(channels.names)) if index not in numbers]
    if max(numbers) >= len(channels.names) or (missing and channels.fills is None):
        return dataclasses.replace(scan, problem=_wrong_channels(scan, channels, missing))
    return dataclasses.replace(scan, missing=channels.missing(list(numbers)))


def _wrong_channels(
    scan: Scan, channels: ModelChannels, missing_channels: Sequence[int]
) -> InputError:
    """Return the error for files whose numbers are not those of the model's channels."""
    numbered = [f"_{index:04d} ({name})" for index, name in enumerate(channels.names)]
    found = ", ".join(f"_{number:04d}" for number in _numbers(scan))
    missing = "".join(f", without {numbered[index]}" for index in missing_channels)
    remedy = "Remove the files that are not channels of the model."
    if missing_channels:
        remedy = "Add the missing channel."
    return InputError(
        scan.where.parent,
        expected=f"the channels {', '.join(numbered)} of {scan.id}",
        found=f"{found}{missing}",
        remedy=remedy,
    )


def _without_own_outputs(paths: Sequence[Path]) -> list[Path]:
    """Leave out the files that an earlier prediction without -o has written beside the scans."""
    ids = {case_id(path) for path in paths}
    outputs = [path for path in paths if _predicted_from(case_id(path)) in ids - {case_id(path)}]
    kept = [path for path in paths if path not in outputs]
    if outputs:
        log.info(
            "%d files of earlier predictions are not scans: %s ...", len(outputs), outputs[0].name
        )
    return kept


def _predicted_from(name: str) -> str:
    """Return the id of the scan from which a file of this name was predicted."""
    for end in BESIDE:
        name = name.removesuffix(end)
    return name.removesuffix(ENDING)


def _grouped(paths: Sequence[Path]) -> list[Scan]:
    """Return one scan for the files CASE_0000, CASE_0001 ... of a case, and for each other file."""
    groups: dict[tuple[str, bool], list[Path]] = defaultdict(list)
    for path in paths:
        match = _NUMBERED.fullmatch(case_id(path))
        name = match[1] if match else case_id(path)
        groups[name, match is not None].append(path)
    return [Scan(name, tuple(files), numbered) for (name, numbered), files in groups.items()]
