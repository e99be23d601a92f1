"""Which files make up the scans that someone asked to predict."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.dataset.csv_table import read_rows
from segkit.errors import InputError, UsageError
from segkit.files.names import ENDING, case_id, must_exist, readable_files
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.folder_scans import scans_of_folder
from segkit.inference.files.scan import Scan
from segkit.io.dicom import DicomScan, dicom_scan, dicom_scans
from segkit.io.dicom.files.detection import is_dicom, scan_name
from segkit.io.dicom.files.folders import study_parts

log = logging.getLogger(__name__)

ALL_SERIES = "all"
"""In place of one series: each of them is a scan of its own."""
_COLUMNS = "case,image or case,image:CHANNEL,image:CHANNEL ..."


def is_many(inputs: Sequence[Path], series: str | None = None) -> bool:
    """Whether the output is a folder: several inputs, a folder of scans, a CSV file, or all series of a study."""
    return len(inputs) > 1 or series == ALL_SERIES or any(_holds_scans(path) for path in inputs)


def _holds_scans(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        return True
    return os.path.isdir(path) and (not is_dicom(path) or bool(study_parts(path)))


def find_scans(
    inputs: Sequence[Path], channels: ModelChannels, series: str | None = None
) -> list[Scan]:
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
        other = scans.setdefault(scan.id.casefold(), scan)
        if other is not scan:
            where = (
                ""
                if other.id == scan.id
                else " on disks of Windows and macOS, which do not tell capitals apart"
            )
            raise UsageError(
                f"two scans are called {scan.id!r} and would have the same output{where}: {other.images[0]} and "
                f"{scan.images[0]}. Rename one, predict them one by one, or give them other names in a CSV file."
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
            raise UsageError(
                f"--channel {name}: {found}; its channels are {', '.join(channels.names)}, each once"
            )
        files[name] = Path(file)
    there = [place for place, name in enumerate(channels.names) if name in files]
    if len(there) < (len(channels.names) if channels.fills is None else 1):
        missing = ", ".join(name for name in channels.names if name not in files)
        raise UsageError(
            f"--channel: the model needs each of {', '.join(channels.names)} once, and {missing} is missing"
            " (only a model trained with augment.channel_dropout can do without one)"
        )
    paths = tuple(files[channels.names[place]] for place in there)
    return Scan(
        scan_name(paths[0]), paths, missing=channels.missing(there), dicom=dicom_scan(paths[0])
    )


def _scans(path: Path, channels: ModelChannels, series: str | None) -> list[Scan]:
    places = study_parts(path)
    if places:
        return [
            scan for name, place in places.items() for scan in _scans_of_place(name, place, series)
        ]
    if series == ALL_SERIES and is_dicom(path):
        return _scans_of_series(path, dicom_scans(path))
    dicom = dicom_scan(path, series)
    if dicom is not None:
        _note_other_formats(path)
        return [Scan(scan_name(path), (path,), dicom=dicom)]
    if os.path.isdir(path):
        return scans_of_folder(path, channels)
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
        Scan(name, (place,), problem=each)
        if isinstance(each, InputError)
        else Scan(name, (place,), dicom=each)
        for name, each in found.items()
    ]


def _note_other_formats(place: Path) -> None:
    """Say that scans of other formats, which are not what predict itself wrote, are left alone beside DICOM."""
    own = f"{scan_name(place)}{ENDING}"
    files = readable_files(place) if os.path.isdir(place) else []
    others = [path for path in files if not path.name.startswith(own)]
    if others:
        log.warning(
            "%s is a folder of DICOM: files such as %s are left alone", place, others[0].name
        )


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
