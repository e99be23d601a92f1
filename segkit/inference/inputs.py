"""Which files make up the scans that someone asked to predict."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.dataset_csv import read_rows
from segkit.errors import InputError, UsageError
from segkit.file_names import BESIDE, ENDING, case_id, must_exist, readable_files, scan_paths
from segkit.inference.channels import ModelChannels
from segkit.inference.scan import Scan
from segkit.io.dicom import DicomScan, dicom_scan, dicom_scans
from segkit.io.dicom.files import is_dicom_place, place_id
from segkit.io.dicom.places import scan_places

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(.+)_([0-9]{4})")
ALL_SERIES = "all"
"""In place of one series: each of them is a scan of its own."""
_COLUMNS = "case,image or case,image:CHANNEL,image:CHANNEL ..."


def is_many(inputs: Sequence[Path], series: str | None = None) -> bool:
    """Whether the output is a folder: several inputs, a folder of scans, a CSV file, or all series of a study."""
    return len(inputs) > 1 or series == ALL_SERIES or any(_holds_scans(path) for path in inputs)


def _holds_scans(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        return True
    return os.path.isdir(path) and (not is_dicom_place(path) or bool(scan_places(path)))


def find_scans(inputs: Sequence[Path], channels: ModelChannels, series: str | None = None) -> list[Scan]:
    """Scans among files, folders of scans, DICOM and CSV files, for a model with these channels.

    ``series`` says which one of a place of DICOM, or ``all``: then each that is a volume is a scan. A folder of several
    studies, or of zips, is taken apart: each of them is a place.

    Raises:
        InputError: a folder without scans, or a CSV file that does not exist or lacks a column. That a scan does not
            exist, or its line in a CSV file cannot be followed, is found when it is read: of many, the others go on.
        UsageError: two scans of one name, which would have one output.
    """
    scans: dict[str, Scan] = {}
    for scan in (scan for path in inputs for scan in _scans(path, channels, series)):
        other = scans.setdefault(scan.id, scan)
        if other is not scan:
            raise UsageError(
                f"two scans are called {scan.id!r} and would have the same output: {other.images[0]} and "
                f"{scan.images[0]}. Predict them one by one, or name them in a CSV file."
            )
    return list(scans.values())


def scan_of_channels(given: Sequence[str], channels: ModelChannels) -> Scan:
    """One scan from words NAME=FILE, one for each of the model's channels in any order.

    Raises:
        UsageError: a word without =, an unknown channel, or one that is missing where the model needs all.
    """
    files = {}
    for word in given:
        name, equals, file = word.partition("=")
        if not equals or not file:
            raise UsageError(f"--channel {word}: write NAME=FILE")
        if name not in channels.names or name in files:
            found = "two files" if name in files else "no channel of the model"
            raise UsageError(f"--channel {name}: {found}; its channels are {', '.join(channels.names)}, each once")
        files[name] = Path(file)
    there = [place for place, name in enumerate(channels.names) if name in files]
    if len(there) < (len(channels.names) if channels.fills is None else 1):
        missing = ", ".join(name for name in channels.names if name not in files)
        raise UsageError(
            f"--channel: the model needs each of {', '.join(channels.names)} once, and {missing} is missing"
            " (only a model trained with augment.channel_dropout can do without one)"
        )
    paths = tuple(files[channels.names[place]] for place in there)
    return Scan(place_id(paths[0]), paths, missing=channels.missing(there), dicom=dicom_scan(paths[0]))


def _scans(path: Path, channels: ModelChannels, series: str | None) -> list[Scan]:
    places = scan_places(path)
    if places:
        return [scan for name, place in places.items() for scan in _scans_of_place(name, place, series)]
    if series == ALL_SERIES and is_dicom_place(path):
        return _scans_of_series(path, dicom_scans(path))
    dicom = dicom_scan(path, series)
    if dicom is not None:
        _note_other_formats(path)
        return [Scan(place_id(path), (path,), dicom=dicom)]
    if os.path.isdir(path):
        return _scans_of_folder(path, channels)
    if path.suffix.lower() == ".csv":
        return _scans_of_table(path, channels)
    return [Scan(case_id(path), (path,))]


def _scans_of_place(name: str, place: Path, series: str | None) -> list[Scan]:
    """The scans of one study of several, whose trouble is its own."""
    if series != ALL_SERIES:
        return [Scan(name, (place,), dicom=DicomScan(place, series))]
    try:
        return _scans_of_series(place, dicom_scans(place, name))
    except InputError as error:
        return [Scan(name, (place,), problem=error)]


def _scans_of_series(place: Path, found: Mapping[str, DicomScan | InputError]) -> list[Scan]:
    return [
        Scan(name, (place,), problem=each) if isinstance(each, InputError) else Scan(name, (place,), dicom=each)
        for name, each in found.items()
    ]


def _note_other_formats(place: Path) -> None:
    """Say that scans of other formats, which are not what predict itself wrote, are left alone beside DICOM."""
    own = f"{place_id(place)}{ENDING}"
    files = readable_files(place) if os.path.isdir(place) else []
    others = [path for path in files if not path.name.startswith(own)]
    if others:
        log.warning("%s is a folder of DICOM: files such as %s are left alone", place, others[0].name)


def _scans_of_folder(folder: Path, channels: ModelChannels) -> list[Scan]:
    paths = _without_own_outputs(scan_paths(folder))
    grouped = _grouped(paths)
    places = list(range(len(channels.names)))
    complete = [scan.numbered and _numbers(scan) == places for scan in grouped]
    # Names with four digits are those of nnU-Net where at least one case has just the model's channels.
    if any(complete) if len(places) > 1 else all(complete):
        return [_of_channels(scan, channels) for scan in grouped]
    in_part = [scan.numbered and set(_numbers(scan)) <= set(places) for scan in grouped]
    if channels.fills is not None and all(in_part):
        return [_of_channels(scan, channels) for scan in grouped]
    return [Scan(case_id(path), (path,)) for path in paths]


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


def _scans_of_table(path: Path, channels: ModelChannels) -> list[Scan]:
    """The columns case and image, or image:CHANNEL for every channel of the model; other columns are left alone.

    Where the model can do without a channel, its column or its value in a line may be missing.

    As in training, a plain image column beside others is the channel called image.
    """
    must_exist(path)
    columns, rows = read_rows(path)
    by_channel = [name if name == "image" else f"image:{name}" for name in channels.names]
    if channels.fills is not None and set(by_channel) & set(columns):
        columns = [*columns, *by_channel]
    wanted = by_channel if set(by_channel) <= set(columns) else ["image"]
    if "case" not in columns or not set(wanted) <= set(columns) or not rows:
        raise InputError(
            path,
            expected=f"the columns {_COLUMNS}, with the channels {', '.join(channels.names)}",
            found=", ".join(columns) if rows else "no line below the first",
            remedy="Correct the first line of the file.",
        )
    scans: dict[str, Scan] = {}
    for number, row in rows.items():
        try:
            scan = _scan_of_row(path, number, row, wanted, channels)
            _check_new(path, number, scan.id, scans)
        except InputError as error:
            name = row.get("case", "")
            own = names_a_file(name) and name not in scans
            scan = Scan(name if own else f"{path.name}, line {number}", (path,), problem=error)
        scans[scan.id] = scan
    return list(scans.values())


def _check_new(path: Path, number: int, name: str, scans: Mapping[str, Scan]) -> None:
    """The first scan of a name is predicted; of the second nobody knows whether it is the same."""
    if name in scans:
        raise InputError(
            path,
            expected="a case id of its own in every line",
            found=f"{name!r} again in line {number}",
            remedy="Rename it, or remove the line.",
        )


def _scan_of_row(
    path: Path, number: int, row: Mapping[str, str], columns: Sequence[str], channels: ModelChannels
) -> Scan:
    name, *files = (row.get(column, "") for column in ("case", *columns))
    there = [place for place, file in enumerate(files) if file]
    optional = channels.fills is not None and len(columns) == len(channels.names)
    if not (any(files) if optional else all(files)) or not names_a_file(name):
        raise InputError(
            path,
            expected="a case id that can be a file's name and a file in every image column",
            found=f"case {name!r} with {_named(files, columns)} in line {number}",
            remedy="Correct this line.",
        )
    missing = channels.missing(there) if optional else ()
    images = tuple(path.parent / files[place] for place in there)
    return Scan(name, images, missing=missing, dicom=dicom_scan(images[0]))


def _named(files: Sequence[str], columns: Sequence[str]) -> str:
    """The files of a line, and under which column there is none."""
    pairs = zip(files, columns, strict=True)
    return ", ".join(repr(file) if file else f"nothing under {column}" for file, column in pairs)


def names_a_file(name: str) -> bool:
    """No folder, on any system, and nothing that cannot be seen."""
    return bool(name.strip(".")) and name.isprintable() and not {"/", "\\"} & set(name)
