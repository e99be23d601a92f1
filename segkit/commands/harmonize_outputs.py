"""Files that ``segkit harmonize apply`` writes: harmonized scans, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.dataset.csv_table import read_rows
from segkit.dataset.dataset import Case
from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.files.names import WRITABLE, case_id, suffix_of
from segkit.io.dicom.files.detection import is_dicom
from segkit.report.tables import csv_text

TABLE = "harmonized.csv"
COLUMNS = ("case", "group", "known", "note", "files")
_SUFFIXES = {".nhdr": ".nrrd", ".mhd": ".mha", ".png": ".tif", ".bmp": ".tif", ".tiff": ".tif"}
"""Suffix of the output for inputs whose format cannot hold 32-bit numbers in one file."""


@dataclass(frozen=True)
class Record:
    """Result of one scan: its group, notes, and the files written."""

    case: str
    group: str
    is_known: bool | None
    """True if the group was among the training scans, or if there are no groups; None if the scan
    could not be read."""
    note: str
    files: tuple[str, ...]
    """Names of the files written; empty if the scan was not harmonized."""


def outputs_of(cases: Sequence[Case], output: Path, *, overwrite: bool) -> dict[str, list[Path]]:
    """Return the files to write for each scan: OUT itself for one file, else names inside OUT.

    Raises:
        UsageError: a file exists, is an input, or would be written twice; OUT is a file for
            several scans; or a case id cannot be a file name.
    """
    if suffix_of(output) in WRITABLE:
        if len(cases) > 1 or len(cases[0].images) > 1:
            raise UsageError(f"-o {output}: give a folder for several files")
        outputs = {cases[0].id: [output]}
    else:
        for case in cases:
            if Path(case.id).name != case.id:
                raise UsageError(
                    f"case {case.id!r}: files are named after cases; leave out slashes"
                )
        outputs = {case.id: [output / name for name in _names(case)] for case in cases}
        _check_table(output / TABLE)
    files = [path for paths in outputs.values() for path in paths]
    inputs = {file.resolve() for case in cases for file in case.files}
    seen: set[Path] = set()
    for path in files:
        if path.resolve() in inputs:
            raise UsageError(f"{path} is an input; choose another place with -o")
        if path in seen:
            raise UsageError(f"two scans would be written to {path}. Harmonize them one by one")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists; choose another place with -o, or give --overwrite")
        seen.add(path)
    return outputs


def _names(case: Case) -> list[str]:
    """Return the name of the output of each image: CASE, or CASE_0000, CASE_0001, ... of several.

    A single file that is called CASE_0000 keeps its name, so that the output is a dataset again.
    """
    names = []
    for number, image in enumerate(case.images):
        numbered = f"{case.id}_{number:04d}"
        many = len(case.images) > 1 or case_id(image) == numbered
        suffix = ".nii.gz" if is_dicom(image) else suffix_of(image)
        names.append(f"{numbered if many else case.id}{_SUFFIXES.get(suffix, suffix)}")
    return names


def _check_table(path: Path) -> None:
    if path.exists() and tuple(read_rows(path)[0]) != COLUMNS:
        raise UsageError(
            f"{path} exists and is not a table of harmonized scans; move it, or choose another "
            "folder with -o"
        )


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """Write the table of harmonized scans; rows of other scans of earlier calls are kept."""
    path = folder / TABLE
    rows = {}
    if path.is_file():
        rows = {
            row["case"]: [row.get(name, "") for name in COLUMNS]
            for row in read_rows(path)[1].values()
            if row.get("case")
        }
    for record in records:
        known = {True: "yes", False: "no", None: ""}[record.is_known]
        files = ";".join(record.files)
        rows[record.case] = [record.case, record.group, known, record.note, files]
    write_text(path, csv_text(COLUMNS, rows.values()))
