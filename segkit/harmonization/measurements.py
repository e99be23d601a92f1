"""Measurements of cases from the rows of a table, and back into these rows.

A table has a row per case and a column per measurement; or, as stats.csv of predict, a row per case
and label. A measurement of the latter is called ``LABEL: COLUMN``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, first_few

Row = Mapping[str, str]

CASE, LABEL = "case", "label"
_STATS = [CASE, LABEL, "value", "voxels"]
"""First columns of stats.csv."""
_OF_STATS = ("volume_", "mean:", "std:")
"""Beginnings of the columns of stats.csv that depend on the scanner; positions are left out."""
_NO_MEASUREMENTS = {CASE, LABEL, "value", "patient", "group", "split", "fold"}


@dataclass(frozen=True, eq=False)
class Measurements:
    """Values of each case, and the cell of the table from which each comes."""

    cases: tuple[str, ...]
    features: tuple[str, ...]
    values: NDArray[np.float64]
    """Values (N, F); NaN where a case has none."""
    cells: Mapping[tuple[int, int], tuple[int, str]]
    """Row and column of the table, by case and feature number."""


def measurements_of(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    where: str | Path,
    chosen: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> Measurements:
    """Return the measurements of a table.

    Args:
        rows: the rows, in order.
        columns: names of the columns.
        where: the table, for messages.
        chosen: columns that hold measurements; by default, those of stats.csv that depend on the
            scanner, or all columns of numbers of another table.
        left_out: columns that hold the site or a covariate.

    Raises:
        InputError: there is no column case or no measurement, a chosen column is missing or holds
            text, or a case has two rows.
    """
    _require(CASE, columns, where)
    for name in chosen:
        _require(name, columns, where)
    names = list(chosen) or _usual(rows, columns, left_out)
    cases = {row[CASE]: number for number, row in reversed([*enumerate(rows)])}
    order = {case: place for place, case in enumerate(sorted(cases, key=cases.__getitem__))}
    found: dict[tuple[str, str], tuple[int, str, float]] = {}
    for number, row in enumerate(rows):
        prefix = f"{row[LABEL]}: " if LABEL in columns else ""
        for name in names:
            key = (row[CASE], f"{prefix}{name}")
            if key in found:
                raise _twice(where, row[CASE], key[1])
            found[key] = (number, name, _number(row[name], where, number, name))
    features = {name: place for place, name in enumerate(dict.fromkeys(name for _, name in found))}
    values = np.full((len(order), len(features)), math.nan)
    cells = {}
    for (case, feature), (number, name, value) in found.items():
        place = order[case], features[feature]
        values[place], cells[place] = value, (number, name)
    if not features:
        raise InputError(
            where,
            expected="columns of numbers",
            found=f"the columns {', '.join(columns)}",
            remedy="Name the columns of the measurements with --features.",
        )
    return Measurements(tuple(order), tuple(features), values, cells)


def values_by_case(
    rows: Sequence[Row], column: str, *, where: str | Path, columns: Sequence[str]
) -> dict[str, str]:
    """Return the value of a column for each case, such as its site; empty ones are left out.

    Raises:
        InputError: there is no such column, or a case has two different values.
    """
    _require(CASE, columns, where)
    _require(column, columns, where)
    values: dict[str, str] = {}
    for row in rows:
        if row[column] and values.setdefault(row[CASE], row[column]) != row[column]:
            raise InputError(
                where,
                expected=f"one {column} for each case",
                found=f"{values[row[CASE]]!r} and {row[column]!r} for {row[CASE]}",
                remedy="Correct one of the lines.",
            )
    return values


def changed_rows(
    rows: Sequence[Row], before: Measurements, after: NDArray[np.float64]
) -> Iterator[dict[str, str]]:
    """Yield the rows with the values (N, F) in ``after``; cells that did not change stay as text.

    Args:
        rows: the rows of the table.
        before: its measurements.
        after: the new values; NaN where there is none.
    """
    new = [dict(row) for row in rows]
    for place, (number, name) in before.cells.items():
        value = float(after[place])
        if math.isfinite(value) and value != before.values[place]:
            new[number][name] = repr(value)
    yield from new


def _usual(rows: Sequence[Row], columns: Sequence[str], left_out: Sequence[str]) -> list[str]:
    no = {*_NO_MEASUREMENTS, *left_out}
    of_stats = [*columns[: len(_STATS)]] == _STATS
    return [
        name
        for name in columns
        if name not in no
        and (name.startswith(_OF_STATS) if of_stats else True)
        and _is_numeric([row[name] for row in rows])
    ]


def _is_numeric(texts: Sequence[str]) -> bool:
    filled = [text for text in texts if text]
    return bool(filled) and all(is_number(text) for text in filled)


def is_number(text: str) -> bool:
    """Return whether a text is a finite number.

    >>> is_number("-1.5e3"), is_number("nan"), is_number("F")
    (True, False, False)
    """
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(text: str, where: str | Path, number: int, name: str) -> float:
    if not text:
        return math.nan
    if not is_number(text):
        raise InputError(
            where,
            expected=f"numbers in the column {name}",
            found=f"{text!r} in row {number + 1} below the header",
            remedy="Correct it, or leave the cell empty.",
        )
    return float(text)


def _require(name: str, columns: Sequence[str], where: str | Path) -> None:
    if name not in columns:
        raise InputError(
            where,
            expected=f"a column {name}",
            found=f"the columns {first_few([*columns], 10)}",
            remedy="Correct the first line of the table, or the name that you typed.",
        )


def _twice(where: str | Path, case: str, feature: str) -> InputError:
    return InputError(
        where,
        expected="one row for each case, or for each case and label",
        found=f"{feature!r} twice for {case}",
        remedy="Remove one of the rows, or give the second examination its own case.",
    )
