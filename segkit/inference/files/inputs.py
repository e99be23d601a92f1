"""Find the scans to predict among files, folders, DICOM and CSV files."""

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
"""Choice of every series; each of them is a scan."""
_COLUMNS = "case,image or case,image:CHANNEL,image:CHANNEL ..."


def is_many(inputs: Sequence[Path], series: str | None = None) -> bool:
    """Return whether several scans are expected, so that the output is a folder.

    These are several inputs, a folder of scans, a CSV file, or all series of a DICOM study.
    """
    return len(inputs) > 1 or series == ALL_SERIES or any(_holds_scans(path) for path in inputs)


def _holds_scans(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        return True
    return os.path.isdir(path) and (not is_dicom(path) or bool(study_parts(path)))


def find_scans(
    inputs: Sequence[Path], channels: ModelChannels, series: str | None = None
) -> list[Scan]:
    """Return the scans among files, folders of scans, DICOM and CSV files.

    Each study in a folder of several studies or zips is a scan. A scan that does not exist, or
    whose row of a CSV file is wrong, fails when it is read, so that the others are still predicted.

    Args:
        inputs: the paths that a user gave.
        channels: channels of the model.
        series: choice among the DICOM series of a study; ``all`` makes each volume a scan.

    Raises:
        InputError: a folder without scans, or a CSV file that does not exist or lacks a column.
        UsageError: two scans of the same name, which would have the same output.
    """
    scans: dict[str, Scan] = {}
    for scan in (scan for path in inputs for scan in _scans(path, channels, series)):
        other = scans.setdefault(scan.id.casefold(), scan)
        if other is not scan:
            where = ""
            if other.id != scan.id:
                where = " on Windows and macOS, which do not distinguish upper and lower case"
            raise UsageError(
                f"two scans are called {scan.id!r} and would have the same output{where}: "
                f"{other.images[0]} and {scan.images[0]}. Rename one, predict them one by one, "
                "or give them other names in a CSV file."
            )
    return list(scans.values())


def scan_of_channels(given: Sequence[str], channels: ModelChannels) -> Scan:
    """Return one scan from words NAME=FILE, one for each of the model's channels, in any order.

    Raises:
        UsageError: a word without =, an unknown channel, a channel that is given twice, or one that
            is missing where the model needs all of them.
    """
    files = {}
    for word in given:
        name, equals, file = word.partition("=")
        if not equals or not file:
            raise UsageError(f"--channel {word}: write NAME=FILE")
        if name in files:
            raise UsageError(f"--channel {name}: two files are given for it; give one")
        if name not in channels.names:
            raise UsageError(
                f"--channel {name}: the model has no channel {name}; "
                f"it has: {', '.join(channels.names)}"
            )
        files[name] = Path(file)
    given_channels = [index for index, name in enumerate(channels.names) if name in files]
    needed = len(channels.names) if channels.fills is None else 1
    if len(given_channels) < needed:
        missing = ", ".join(name for name in channels.names if name not in files)
        raise UsageError(
            f"--channel: the model needs each of {', '.join(channels.names)} once, and {missing} "
            "is missing (only a model trained with augment.channel_dropout can do without one)"
        )
    paths = tuple(files[channels.names[index]] for index in given_channels)
    return Scan(
        scan_name(paths[0]),
        paths,
        missing=channels.missing(given_channels),
        dicom=dicom_scan(paths[0]),
    )


def _scans(path: Path, channels: ModelChannels, series: str | None) -> list[Scan]:
    studies = study_parts(path)
    if studies:
        return [
            scan for name, study in studies.items() for scan in _scans_of_study(name, study, series)
        ]
    if series == ALL_SERIES and is_dicom(path):
        return _scans_of_series(path, dicom_scans(path))
    dicom = dicom_scan(path, series)
    if dicom is not None:
        _warn_of_other_formats(path)
        return [Scan(scan_name(path), (path,), dicom=dicom)]
    if os.path.isdir(path):
        return scans_of_folder(path, channels)
    if path.suffix.lower() == ".csv":
        return _scans_of_table(path, channels)
    return [Scan(case_id(path), (path,))]


def _scans_of_study(name: str, study: Path, series: str | None) -> list[Scan]:
    """Return the scans of one of several studies; its error becomes the problem of a scan."""
    if series != ALL_SERIES:
        return [Scan(name, (study,), dicom=DicomScan(study, series))]
    try:
        return _scans_of_series(study, dicom_scans(study, name))
    except InputError as error:
        return [Scan(name, (study,), problem=error)]


def _scans_of_series(
    study: Path, series_by_name: Mapping[str, DicomScan | InputError]
) -> list[Scan]:
    scans = []
    for name, series in series_by_name.items():
        if isinstance(series, InputError):
            scans.append(Scan(name, (study,), problem=series))
        else:
            scans.append(Scan(name, (study,), dicom=series))
    return scans


def _warn_of_other_formats(folder: Path) -> None:
    """Log that files of other formats beside DICOM are ignored, except for predict's own output."""
    own_output = f"{scan_name(folder)}{ENDING}"
    files = readable_files(folder) if os.path.isdir(folder) else []
    others = [path for path in files if not path.name.startswith(own_output)]
    if others:
        log.warning("%s is a folder of DICOM: files such as %s are ignored", folder, others[0].name)


def _scans_of_table(path: Path, channels: ModelChannels) -> list[Scan]:
    """Return the scans of a CSV file.

    It has the columns case and image, or case and image:CHANNEL for every channel of the model; a
    column group names the group of each scan, and other columns are ignored. Where the model can do
    without a channel, its column or its value in a row may be missing. As in training, a plain
    image column beside others is the channel "image".
    """
    must_exist(path)
    columns, rows = read_rows(path)
    by_channel = [name if name == "image" else f"image:{name}" for name in channels.names]
    if channels.fills is not None and set(by_channel) & set(columns):
        columns = [*columns, *by_channel]
    image_columns = by_channel if set(by_channel) <= set(columns) else ["image"]
    if "case" not in columns or not set(image_columns) <= set(columns) or not rows:
        raise InputError(
            path,
            expected=f"the columns {_COLUMNS}, with the channels {', '.join(channels.names)}",
            found=", ".join(columns) if rows else "no line below the first",
            remedy="Correct the first line of the file.",
        )
    scans: dict[str, Scan] = {}
    for number, row in rows.items():
        try:
            scan = _scan_of_row(path, number, row, image_columns, channels)
            _check_new(path, number, scan.id, scans)
        except InputError as error:
            name = row.get("case", "")
            if not names_a_file(name) or name in scans:
                name = f"{path.name}, line {number}"
            scan = Scan(name, (path,), problem=error)
        scans[scan.id] = scan
    return list(scans.values())


def _check_new(path: Path, number: int, name: str, scans: Mapping[str, Scan]) -> None:
    """Raise an InputError for the second scan of a name; the first one is predicted."""
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
    given_channels = [index for index, file in enumerate(files) if file]
    optional = channels.fills is not None and len(columns) == len(channels.names)
    if not (any(files) if optional else all(files)) or not names_a_file(name):
        raise InputError(
            path,
            expected="a case id that can be a file's name and a file in every image column",
            found=f"case {name!r} with {_named(files, columns)} in line {number}",
            remedy="Correct this line.",
        )
    missing = channels.missing(given_channels) if optional else ()
    images = tuple(path.parent / files[index] for index in given_channels)
    group = row.get("group", "")
    dicom = dicom_scan(images[0])
    return Scan(name, images, missing=missing, dicom=dicom, table_group=group)


def _named(files: Sequence[str], columns: Sequence[str]) -> str:
    """Return the files of a row in words, with the columns that are empty."""
    pairs = zip(files, columns, strict=True)
    return ", ".join(repr(file) if file else f"nothing under {column}" for file, column in pairs)


def names_a_file(name: str) -> bool:
    """Return whether ``name`` is a valid file name on any system, of visible characters only.

    >>> [names_a_file(name) for name in ("case 1", "a/b", "..", "")]
    [True, False, False, False]
    """
    return bool(name.strip(".")) and name.isprintable() and not {"/", "\\"} & set(name)
