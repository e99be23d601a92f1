"""Read a dataset from a CSV file: case,image[,image:CHANNEL ...],label[,patient,group,split]."""

from __future__ import annotations

import csv
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segkit.dataset.dataset import Case, is_fold
from segkit.dataset.paths import find_path
from segkit.errors import InputError

log = logging.getLogger(__name__)

_OPTIONAL_COLUMNS = {
    "patient": (
        "patient",
        "patients",
        "patientid",
        "patientname",
        "pid",
        "subject",
        "subjects",
        "subjectid",
    ),
    "group": ("group", "groups"),
    "split": ("split", "splits", "fold", "folds"),
}
"""Optional columns, and other names that users give them, in lower case without punctuation."""


def read_table(path: Path, *, strict_split: bool = True) -> tuple[list[Case], tuple[str, ...]]:
    """Return the cases of a CSV file and the channel names in its header.

    Relative paths in the table are relative to the folder of the CSV file.

    Args:
        path: the CSV file.
        strict_split: refuse a column split that puts a patient into several folds.

    Raises:
        InputError: the file is not CSV in UTF-8, or a column or value is missing or wrong.
    """
    columns, rows = read_rows(path)
    images = [name for name in columns if name == "image" or name.startswith("image:")]
    missing = [name for name in ("case", "label") if name not in columns]
    if not images:
        missing.append("image")
    if missing:
        raise InputError(
            path,
            expected="the columns case,image[,image:CHANNEL ...],label[,patient,group,split]",
            found=f"no column {' and no column '.join(missing)} among"
            f" {', '.join(columns) or 'none'}",
            remedy="Correct the first line of the file.",
        )
    _warn_of_unread_columns(path, columns)
    cases = [_case_of_row(path, number, row, images) for number, row in rows.items()]
    _check_split(path, cases)
    if strict_split:
        _check_patients(path, cases)
    if images == ["image"]:
        return cases, ()
    return cases, tuple(name.partition(":")[2] or name for name in images)


def read_rows(path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    """Return the column names of a CSV file, and its rows by line number (the header is line 1).

    Values are stripped of surrounding whitespace, and empty rows are skipped.

    Raises:
        InputError: the file is not CSV in UTF-8, two columns have the same name, or a line has
            more values than there are columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        # Spreadsheet programs write semicolons in countries with a decimal comma.
        delimiter = ";" if ";" in header and "," not in header else ","
        reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = dict(_numbered_rows(path, reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            path,
            expected="CSV in UTF-8",
            found=str(error),
            remedy="Save it as UTF-8 (in Excel: 'CSV UTF-8').",
        ) from error
    duplicates = [name for name, count in Counter(columns).items() if name and count > 1]
    if duplicates:
        raise InputError(
            path,
            expected="columns with different names",
            found=f"{duplicates[0]!r} twice",
            remedy="Rename one of the two.",
        )
    return columns, {number: row for number, row in rows.items() if any(row.values())}


def _numbered_rows(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for row in reader:
        # The csv module collects values without a column under the key None.
        surplus: Sequence[str] = row.get(None, ())
        if any(value.strip() for value in surplus):
            raise InputError(
                path,
                expected="as many values as columns in every line",
                found=f"{len(surplus)} more in line {reader.line_num}",
                remedy="Put a value that holds a comma in quotation marks, or name its column in"
                " the first line.",
            )
        values = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
        yield reader.line_num, values


def _warn_of_unread_columns(path: Path, columns: Sequence[str]) -> None:
    """Warn of columns that look like an optional column under another name."""
    for column, synonyms in _OPTIONAL_COLUMNS.items():
        lookalikes = [
            name
            for name in columns
            if name != column and re.sub(r"[\W_]", "", name).casefold() in synonyms
        ]
        if lookalikes and column not in columns:
            log.warning(
                "%s: the column %r is not read; rename it to %r if that is what it holds",
                path,
                lookalikes[0],
                column,
            )


def _check_split(path: Path, cases: Sequence[Case]) -> None:
    """Check that the split column numbers folds from 0.

    A column with other values, such as train and test, is ignored with a warning.
    """
    if not any(case.split for case in cases):
        return
    if not all(is_fold(case.split) for case in cases):
        log.warning(
            "%s: the column split is not used, because its values are not whole numbers in every"
            " line",
            path,
        )
        return
    folds = {int(case.split) for case in cases}
    if folds != set(range(len(folds))):
        raise InputError(
            path,
            expected="folds numbered from 0 without a gap in the column split",
            found=", ".join(map(str, sorted(folds))),
            remedy="Renumber the folds, so that fold=0 is the first.",
        )


def _check_patients(path: Path, cases: Sequence[Case]) -> None:
    """Check that the split column, if it is used, keeps the cases of a patient together."""
    if not all(is_fold(case.split) for case in cases):
        return
    fold_of_patient: dict[str, str] = {}
    for case in cases:
        if not case.patient:
            continue
        fold = fold_of_patient.setdefault(case.patient, case.split)
        if fold != case.split:
            raise InputError(
                path,
                expected="all cases of a patient in one fold",
                found=f"patient {case.patient} in the folds {fold} and {case.split}",
                remedy="Correct the column split: a model must not be validated on a patient that"
                " it was trained on.",
            )


def _case_of_row(path: Path, number: int, row: Mapping[str, str], images: Sequence[str]) -> Case:
    empty = [name for name in ("case", *images, "label") if not row.get(name)]
    if empty:
        raise InputError(
            path,
            expected="a value in every column up to label",
            found=f"none under {' and '.join(empty)} in line {number}",
            remedy="Fill it in, or remove the line.",
        )
    return Case(
        unicodedata.normalize("NFC", row["case"]),
        tuple(find_path(path.parent, row[name]) for name in images),
        find_path(path.parent, row["label"]),
        patient=row.get("patient", ""),
        group=row.get("group", ""),
        split=row.get("split", ""),
    )
