"""The group (site, scanner, protocol) of each case: from a table, DICOM or the dataset itself."""

from __future__ import annotations

import dataclasses
import logging
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.dataset.csv_table import read_rows
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError, UsageError, first_few
from segkit.io.dicom import dicom_module
from segkit.io.dicom.files.detection import is_dicom

log = logging.getLogger(__name__)

COLUMN = "group"
"""Usual column of the group in a CSV file."""
PATIENT = "patient"
"""Column of the patient in such a file."""
DICOM = "dicom"
"""Source of groups that is no file: DICOM attributes."""
INTENSITIES = "intensities"
"""Source of groups that is no file: groups that are discovered in the scans."""


def groups_of(
    cases: Sequence[Case], source: str | None, column: str | None, tags: tuple[str, ...]
) -> dict[str, str]:
    """Return the group of every case that is listed: "" if its cell is empty.

    Args:
        cases: the scans.
        source: a CSV file, "dicom", or None for the group that the dataset gives.
        column: column of the CSV file; None for COLUMN.
        tags: DICOM attributes that name the group.

    Raises:
        InputError: the CSV file cannot be used, or gives one case two groups.
    """
    if source == DICOM:
        return {case.id: name for case in cases if (name := dicom_group(case.images[0], tags))}
    if source is None:
        return {case.id: case.group for case in cases} if any(c.group for c in cases) else {}
    table = table_groups(Path(source), column or COLUMN)
    return {case.id: table[case.id] for case in cases if case.id in table}


def table_groups(
    path: Path,
    column: str,
    *,
    remedy: str = "Correct the first line, or name the column with --column.",
) -> dict[str, str]:
    """Return the group of each case in a CSV file with the columns case and ``column``.

    Args:
        path: the file.
        column: name of the column of the group.
        remedy: what to do about a column that is not there.

    Raises:
        InputError: the file cannot be read, lacks a column, or gives one case two groups.
    """
    columns, rows = read_rows(path)
    missing = [name for name in ("case", column) if name not in columns]
    if missing:
        raise InputError(
            path,
            expected=f"the columns case and {column}",
            found=", ".join(columns) or "none",
            remedy=remedy,
        )
    groups: dict[str, str] = {}
    for row in rows.values():
        case, group = unicodedata.normalize("NFC", row["case"]), row[column]
        if groups.setdefault(case, group) != group:
            raise InputError(
                path,
                expected=f"one {column} for each case",
                found=f"{groups[case]!r} and {group!r} for {case}",
                remedy="Correct one of the lines.",
            )
    return groups


def table_patients(path: Path) -> dict[str, str]:
    """Return the patient of each case in a table of groups; {} if it has no column patient.

    Raises:
        InputError: the file cannot be read.
    """
    columns, rows = read_rows(path)
    if not {"case", PATIENT} <= set(columns):
        return {}
    return {
        unicodedata.normalize("NFC", row["case"]): row[PATIENT]
        for row in rows.values()
        if row[PATIENT]
    }


def dicom_group(path: Path, tags: tuple[str, ...], header: Any = None) -> str:
    """Return the values of the attributes as one text; "" if the scan is not DICOM or has none.

    Args:
        path: file, folder or zip of the scan.
        tags: DICOM keywords, such as Manufacturer.
        header: header of the series, if it is open; otherwise there must be one series only.
    """
    if header is None and not is_dicom(path):
        return ""
    scanner = dicom_module("series.scanner")
    if header is None:
        return group_text(scanner.scanner_values(path, tags))
    return group_text(scanner.header_values(header, path, tags))


def group_text(values: Sequence[str]) -> str:
    """Return values of DICOM attributes as the name of a group; "" if all are empty.

    >>> group_text(("siemens", "", "3T"))
    'siemens | - | 3T'
    """
    return " | ".join(value or "-" for value in values) if any(values) else ""


def members_of_groups(
    cases: Sequence[Case], groups: Mapping[str, str], source: str | None
) -> list[Case]:
    """Return the cases that belong to a group; the log names those whose cell is empty.

    Raises:
        InputError: some cases are not listed, or no case belongs to a group.
    """
    require_listed(cases, groups, source)
    outside = [case.id for case in cases if not groups[case.id]]
    if len(outside) == len(cases):
        raise InputError(
            source or "dataset",
            expected="the group of the training cases",
            found="none" if source == DICOM else "only empty cells",
            remedy="Give a table of groups, or other DICOM attributes."
            if source == DICOM
            else "Fill them in, or give another source of groups.",
        )
    if outside:
        log.warning(
            "%d of %d training cases belong to no group and are left out: %s",
            len(outside),
            len(cases),
            first_few(outside),
        )
    return [case for case in cases if groups[case.id]]


def require_listed(cases: Sequence[Case], groups: Mapping[str, str], source: str | None) -> None:
    """Check that every case is listed.

    Raises:
        InputError: some are not; the message names them.
    """
    without = [case.id for case in cases if case.id not in groups]
    if without:
        raise InputError(
            source or "dataset",
            expected="a group for every training case",
            found=f"none for {first_few(without)}",
            remedy="Add them to the table (with an empty cell, a case is left out), or give "
            "another source of groups.",
        )


def with_groups(dataset: Dataset, groups: Mapping[str, str]) -> Dataset:
    """Return the dataset with the group of each case, "" for cases that are not listed."""
    cases = (dataclasses.replace(case, group=groups.get(case.id, "")) for case in dataset.cases)
    return dataclasses.replace(dataset, cases=tuple(cases))


def groups_of_several_patients(cases: Iterable[Case]) -> set[str]:
    """Return the names of groups that may be told; the name of another may be that of its patient.

    >>> groups_of_several_patients([Case("a", (), group="A"), Case("b", (), group="A")])
    {'A'}
    >>> groups_of_several_patients([Case(id, (), patient="x", group="B") for id in ("a", "b")])
    set()
    """
    patients: dict[str, set[str]] = {}
    for case in cases:
        if case.group:
            patients.setdefault(case.group, set()).add(case.patient or case.id)
    return {name for name, found in patients.items() if len(found) > 1}


def folds_by_group(dataset: Dataset, count: int | None = None) -> Dataset:
    """Return the dataset with folds that hold out whole groups, as if a column split named them.

    By default every group is a fold of its own, in the order of their names. With fewer folds than
    groups, the largest group goes first to the fold with the fewest cases.

    Args:
        dataset: cases with groups.
        count: number of folds.

    Raises:
        InputError: a case has no group, there is one group only, or a patient is in two folds.
        UsageError: more folds than groups.
    """
    # A case without a label is neither trained on nor validated on.
    labeled = [case for case in dataset.cases if case.label is not None]
    without = [case.id for case in labeled if not case.group]
    members = defaultdict(list)
    for case in labeled:
        members[case.group].append(case)
    if without or len(members) < 2:
        names = ", ".join(sorted(members))
        raise InputError(
            dataset.root,
            expected="a group for every case, and two groups or more, for folds_by=group",
            found=f"no group for {first_few(without)}" if without else f"one group, {names}",
            remedy="Give dataset.groups=FILE, a CSV file with the columns case and group, or leave "
            "folds_by out.",
        )
    if count is not None and count > len(members):
        raise UsageError(
            f"folds={count} is not possible with folds_by=group: there are {len(members)} groups, "
            f"{', '.join(sorted(members))}"
        )
    folds = _fold_of_groups({name: len(cases) for name, cases in members.items()}, count)
    cases = (dataclasses.replace(c, split=str(folds.get(c.group, 0))) for c in dataset.cases)
    split = dataclasses.replace(dataset, cases=tuple(cases))
    check_patients(split)
    return split


def _fold_of_groups(sizes: Mapping[str, int], count: int | None) -> dict[str, int]:
    """Return the fold of each group.

    >>> _fold_of_groups({"b": 1, "a": 9, "c": 5}, None)
    {'a': 0, 'b': 1, 'c': 2}
    >>> _fold_of_groups({"b": 1, "a": 9, "c": 5}, 2)
    {'a': 0, 'c': 1, 'b': 1}
    """
    if count is None or count == len(sizes):
        return {name: number for number, name in enumerate(sorted(sizes))}
    folds: dict[str, int] = {}
    filled = [0] * count
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        folds[name] = filled.index(min(filled))
        filled[folds[name]] += sizes[name]
    return folds


def check_patients(dataset: Dataset) -> None:
    """Check that no patient is in two folds of a dataset of `folds_by_group`.

    Raises:
        InputError: one is.
    """
    first_of: dict[str, Case] = {}
    for case in dataset.cases:
        if case.label is None:
            continue
        first = first_of.setdefault(case.patient or case.id, case)
        if first.split != case.split:
            raise InputError(
                dataset.root,
                expected="all cases of a patient in one fold, for folds_by=group",
                found=f"patient {case.patient or case.id} in the groups {first.group} and "
                f"{case.group} (cases {first.id} and {case.id})",
                remedy="Give both groups one name, or leave one of the cases out: a model must not "
                "be validated on a patient that it was trained on.",
            )
