"""A dataset as a table: case,image[,image:CHANNEL ...],label[,patient,group,split]."""

from __future__ import annotations

import csv
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segkit.dataset.dataset import Case, is_fold
from segkit.dataset.paths import located
from segkit.errors import InputError

log = logging.getLogger(__name__)

_MEANT = {
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
"""Columns that may be left out, and names that people give them, without case and signs."""


def read_table(path: Path) -> tuple[list[Case], tuple[str, ...]]:
    """The cases of a CSV file, whose paths count from its folder, and the channels that its columns name.

    Raises:
        InputError: not a table in UTF-8, a column or a value that is missing.
    """
    columns, rows = read_rows(path)
    images = [name for name in columns if name == "image" or name.startswith("image:")]
    missing = [name for name in ("case", "label") if name not in columns] + (
        [] if images else ["image"]
    )
    if missing:
        raise InputError(
            path,
            expected="the columns case,image[,image:CHANNEL ...],label[,patient,group,split]",
            found=f"no column {' and no column '.join(missing)} among {', '.join(columns) or 'none'}",
            remedy="Correct the first line of the file.",
        )
    _warn_of_unused(path, columns)
    cases = [_case_of_row(path, number, row, images) for number, row in rows.items()]
    _check_split(path, cases)
    channels = (
        () if images == ["image"] else tuple(name.partition(":")[2] or name for name in images)
    )
    return cases, channels


def read_rows(path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    """The columns of a CSV file, and its lines by number (from 1, the columns' own line, on).

    Words have no blanks around them; lines without any word are left out.

    Raises:
        InputError: not a table in UTF-8, or two columns of one name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        # A spreadsheet in a country with decimal commas writes semicolons.
        comma = ";" if ";" in first and "," not in first else ","
        reader = csv.DictReader(text.splitlines(keepends=True), delimiter=comma)
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = dict(_numbered(path, reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            path,
            expected="CSV in UTF-8",
            found=str(error),
            remedy="Save it as UTF-8 (in Excel: 'CSV UTF-8').",
        ) from error
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise InputError(
            path,
            expected="columns of different names",
            found=f"{twice[0]!r} twice",
            remedy="Rename one.",
        )
    return columns, {number: row for number, row in rows.items() if any(row.values())}


def _numbered(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for row in reader:
        more: Sequence[str] = row.get(None, ())  # where csv puts what has no column
        if any(value.strip() for value in more):
            raise InputError(
                path,
                expected="as many values as columns in every line",
                found=f"{len(more)} more in line {reader.line_num}",
                remedy="Put a value that holds a comma in quotation marks, or name its column in the first line.",
            )
        yield (
            reader.line_num,
            {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)},
        )


def _warn_of_unused(path: Path, columns: Sequence[str]) -> None:
    """Say which columns may be meant as one that keeps cases together or apart, and are not read."""
    for known, words in _MEANT.items():
        others = [
            name
            for name in columns
            if name != known and re.sub(r"[\W_]", "", name).casefold() in words
        ]
        if others and known not in columns:
            log.warning(
                "%s: the column %r is not read; call it %r if it is meant as that",
                path,
                others[0],
                known,
            )


def _check_split(path: Path, cases: Sequence[Case]) -> None:
    """Whole numbers in every line are folds; else the column says something else, such as train and test."""
    if not any(case.split for case in cases):
        return
    if not all(is_fold(case.split) for case in cases):
        log.warning(
            "%s: the column split is not used, because its values are not whole numbers in every line",
            path,
        )
        return
    found = {int(case.split) for case in cases}
    if found != set(range(len(found))):
        raise InputError(
            path,
            expected="folds from 0 on without a gap in the column split",
            found=", ".join(map(str, sorted(found))),
            remedy="Number them anew, so that fold=0 is the first.",
        )
    folds: dict[str, str] = {}
    for case in cases:
        if case.patient and folds.setdefault(case.patient, case.split) != case.split:
            raise InputError(
                path,
                expected="all cases of a patient in one fold",
                found=f"patient {case.patient} in the folds {folds[case.patient]} and {case.split}",
                remedy="Correct the column split: a model must not be judged on a patient that it was trained on.",
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
    files = tuple(located(path.parent, row[name]) for name in images)
    rest = {name: row.get(name, "") for name in ("patient", "group", "split")}
    return Case(
        unicodedata.normalize("NFC", row["case"]), files, located(path.parent, row["label"]), **rest
    )
