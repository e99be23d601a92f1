"""The scans of a folder: which files are scans, and which are channels of one."""

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
    """Return the scans directly inside a folder for a model with these channels.

    A file whose format is not read is a scan with a problem: it fails like any other, and the rest go on.

    Raises:
        InputError: no scan there.
    """
    paths = _without_segmentations(_without_own_outputs(scan_paths(folder)))
    _note_subfolders(folder)
    foreign = [_foreign(path) for path in foreign_scans(folder, paths)]
    return [
        *_by_channels(paths, channels),
        *foreign,
        *(_dicom(path) for path in _dicom_places(folder)),
    ]


def _dicom_places(folder: Path) -> list[Path]:
    """Return the zips and folders of DICOM beside scans of other formats, and the first of loose DICOM files."""
    entries = sorted(
        (path for path in folder.iterdir() if not path.name.startswith(".")),
        key=lambda path: natural_key(path.name),
    )
    places = [
        path for path in entries if is_dicom(path) and not list(path.glob("predictions*.json"))
    ]
    apart = [path for path in places if path.is_dir() or suffix_of(path) == ZIP]
    return [*apart, *[path for path in places if path not in apart][:1]]


def _dicom(path: Path) -> Scan:
    """Return DICOM that is not read beside scans of other formats, counted and named like every other failure."""
    problem = InputError(
        path,
        expected="scans of one kind in a folder: files such as .nii.gz, or DICOM",
        found="DICOM beside scans of other formats",
        remedy="Put DICOM folders, files and zips into a folder of their own.",
    )
    return Scan(path.name, (path,), problem=problem)


def _foreign(path: Path) -> Scan:
    """Return a scan that cannot be read, so that it is counted and named like every other failure."""
    problem = InputError(
        path,
        expected=f"one of the formats {listed(READABLE)}",
        found=f"the suffix {suffix_of(path)!r}",
        remedy="Convert the file, for example to .nii.gz, or remove it from the folder.",
    )
    return Scan(path.name, (path,), problem=problem)


def _without_segmentations(paths: Sequence[Path]) -> list[Path]:
    """Leave out what 3D Slicer calls a segmentation, as long as there are scans."""
    scans = [path for path in paths if not is_segmentation_file(path)]
    if not scans or len(scans) == len(paths):
        return list(paths)
    others = [path for path in paths if path not in scans]
    log.warning(
        "%s left out, because their names say that they are segmentations: %s",
        count_text(others),
        paths_text(others),
    )
    return scans


def _note_subfolders(folder: Path) -> None:
    """Say that scans in subfolders are not taken, unless they are what predict has written there."""
    nested = [
        path for path in folders_with_scans(folder) if not list(path.glob("predictions*.json"))
    ]
    if nested:
        log.warning(
            "scans in subfolders are left out: %s; give these folders as well", paths_text(nested)
        )


def _by_channels(paths: Sequence[Path], channels: ModelChannels) -> list[Scan]:
    grouped = _grouped(paths)
    places = list(range(len(channels.names)))
    complete = [scan.numbered and _numbers(scan) == places for scan in grouped]
    # Names with four digits are those of nnU-Net where at least one case has just the model's channels.
    if any(complete) if len(places) > 1 else all(complete):
        return [_of_channels(scan, channels) for scan in grouped]
    in_part = [scan.numbered and set(_numbers(scan)) <= set(places) for scan in grouped]
    if channels.fills is not None and all(in_part):
        return [_of_channels(scan, channels) for scan in grouped]
    _note_numbers(grouped)
    return [Scan(case_id(path), (path,)) for path in paths]


def _note_numbers(scans: Sequence[Scan]) -> None:
    """Say that four digits at the end of names are not taken for channels, where they look as if they were."""
    counts = {len(scan.images) for scan in scans}
    if (
        len(scans) > 1
        and len(counts) == 1
        and counts != {1}
        and all(_runs_from_0(scan) for scan in scans)
    ):
        log.warning(
            "%s and others are taken as scans of their own, because the model has other channels; if the numbers are"
            " those of channels, give a model with %d channels",
            scans[0].images[-1].name,
            *counts,
        )


def _runs_from_0(scan: Scan) -> bool:
    return scan.numbered and _numbers(scan) == list(range(len(scan.images)))


def _numbers(scan: Scan) -> list[int]:
    return [int(case_id(path)[-4:]) for path in scan.images]


def _of_channels(scan: Scan, channels: ModelChannels) -> Scan:
    """A numbered scan with what it lacks: channels that the model can do without, or else a problem."""
    if not scan.numbered:
        return scan
    numbers = set(_numbers(scan))
    lacking = [place for place in range(len(channels.names)) if place not in numbers]
    if max(numbers) >= len(channels.names) or (lacking and channels.fills is None):
        return dataclasses.replace(scan, problem=_unlike(scan, channels, lacking))
    return dataclasses.replace(scan, missing=channels.missing(list(numbers)))


def _unlike(scan: Scan, channels: ModelChannels, lacking: Sequence[int]) -> InputError:
    """The error for files whose numbers are not those of the model's channels."""
    numbered = [f"_{place:04d} ({name})" for place, name in enumerate(channels.names)]
    found = ", ".join(f"_{number:04d}" for number in _numbers(scan))
    missing = "".join(f", without {numbered[place]}" for place in lacking)
    return InputError(
        scan.where.parent,
        expected=f"the channels {', '.join(numbered)} of {scan.id}",
        found=f"{found}{missing}",
        remedy="Add the missing channel." if lacking else "Remove what is no channel of the model.",
    )


def _without_own_outputs(paths: Sequence[Path]) -> list[Path]:
    """Leave out the label maps and pictures that were made beside the scans when no output was named."""
    ids = {case_id(path) for path in paths}
    own = [path for path in paths if _predicted_from(case_id(path)) in ids - {case_id(path)}]
    kept = [path for path in paths if path not in own]
    if own:
        log.info("%d files of earlier predictions are no scans: %s ...", len(own), own[0].name)
    return kept


def _predicted_from(name: str) -> str:
    """The scan's id, by the name of what was predicted from it."""
    for end in BESIDE:
        name = name.removesuffix(end)
    return name.removesuffix(ENDING)


def _grouped(paths: Sequence[Path]) -> list[Scan]:
    """Files CASE_0000, CASE_0001 ... by case; a file without a number holds all channels itself."""
    groups: dict[tuple[str, bool], list[Path]] = defaultdict(list)
    for path in paths:
        match = _NUMBERED.fullmatch(case_id(path))
        groups[(match[1], True) if match else (case_id(path), False)].append(path)
    return [Scan(name, tuple(files), numbered) for (name, numbered), files in groups.items()]
