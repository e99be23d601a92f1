"""Tables of a comparison: differences of labels, and cases that got better or worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.paired import PairedValue
from segkit.evaluation.verdict import p_value
from segkit.report.tables import Cell, cell_text

Table = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
MOST_ROWS = 30
"""Largest number of rows of a table of cases."""
LARGEST = 10
"""Number of changes that a table lists if no margin says which ones matter."""


def difference_table(
    results: Sequence[Mapping[str, Any]], *, first: str = "label", wide: bool = True
) -> Table:
    """Return a row for each entry of comparison.json.

    Args:
        results: the entries.
        first: what the rows differ in, "label" or "metric".
        wide: add in how many cases B is better, worse and equal.
    """
    header = [first, "finding", "B - A", "from", "to", "p", "A", "B", "cases"]
    keys = ("difference", "low", "high")
    rows: list[list[Cell]] = [
        [
            entry[first],
            entry["finding"],
            *(entry[key] for key in keys),
            "-" if entry["p"] is None else p_value(entry["p"]).replace(" ", ""),
            *(entry[key] for key in ("mean_a", "mean_b", "cases")),
        ]
        for entry in results
    ]
    if wide:
        header += COUNTS
        rows = [[*r, *(e[key] for key in COUNTS)] for r, e in zip(rows, results, strict=True)]
    left_out = [sum(entry["not_compared"].values()) for entry in results]
    if not any(left_out):
        return header, rows
    return [*header, "left out"], [[*r, n] for r, n in zip(rows, left_out, strict=True)]


COUNTS = ("better", "worse", "equal")
"""Numbers of cases of an entry."""


@dataclass(frozen=True)
class Changes:
    """The cases and labels that are better, or worse, with B, the largest changes first."""

    found: Sequence[PairedValue]
    """All of them."""
    shown: int
    """Number of them that the table lists."""
    pairs: int
    """Number of pairs of case and label that are compared."""
    change: str
    """ "better" or "worse"."""
    margin: float | None = None
    """Change up to which it is irrelevant, if the user said so."""

    @property
    def table(self) -> Table:
        """Header, and the rows that are shown."""
        header = ["case", "label", "B - A", "A", "B"]
        return header, [
            [row.case, row.label, row.difference, row.a, row.b] for row in self.found[: self.shown]
        ]

    @property
    def sentence(self) -> str:
        """Which of them are listed, and what is known of the rest."""
        if not self.found:
            return f"None of {self.pairs}."
        total, rest = len(self.found), self.found[self.shown :]
        start = f"{total} of {self.pairs} pairs of case and label are {self.change}"
        if not rest:
            return f"{start}; all are listed."
        most = cell_text(abs(rest[0].difference or 0.0))
        others = "The other one" if len(rest) == 1 else f"The other {len(rest)}"
        others += f" changed by {most}" + (" or less" if len(rest) > 1 else "")
        which = f"the {self.shown} largest changes are listed"
        if self.margin is not None and abs(rest[0].difference or 0.0) <= self.margin:
            count = f"those {self.shown} are" if self.shown != 1 else "that one is"
            which = f"{count} listed that changed by more than the margin, {self.margin:g}"
            which = which if self.shown else f"none by more than the margin, {self.margin:g}"
        return f"{start}; {which}. {others}; differences.csv has all."


def changed_cases(rows: Sequence[PairedValue], change: str, margin: float | None = None) -> Changes:
    """Return the cases and labels whose Dice is better or worse with B.

    With a margin, those that changed by more than it are listed, `MOST_ROWS` at most; without, the
    `LARGEST` changes.

    Args:
        rows: values of both.
        change: "better" or "worse".
        margin: largest change that is irrelevant.
    """
    compared = [row for row in _of_labels(rows) if row.difference is not None]
    found = [row for row in compared if row.change == change]
    found.sort(key=lambda row: -abs(row.difference or 0.0))
    shown = LARGEST
    if margin is not None:
        shown = min(MOST_ROWS, sum(abs(row.difference or 0.0) > margin for row in found))
    return Changes(found, min(shown, len(found)), len(compared), change, margin)


def most_changed(rows: Sequence[PairedValue], most: int) -> list[str]:
    """Return the cases in which the Dice of a label changed most, worse and better ones in turn."""
    orders = [
        list(dict.fromkeys(row.case for row in changed_cases(rows, change).found))
        for change in ("worse", "better")
    ]
    longest = max(map(len, orders))
    turns = [order[place] for place in range(longest) for order in orders if place < len(order)]
    return list(dict.fromkeys(turns))[:most]


def left_out_cases(rows: Sequence[PairedValue]) -> tuple[Table, int]:
    """Return the cases and labels with values that are not compared, and how many there are.

    Metrics that are left out for the same reason share a row.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.change == "not compared" and row.label != MEAN:
            groups.setdefault((row.case, row.label, row.note), []).append(row.metric)
    cells: list[list[Cell]] = [
        [case, label, note, ", ".join(metrics)] for (case, label, note), metrics in groups.items()
    ]
    return (["case", "label", "reason", "metrics"], cells[:MOST_ROWS]), len(cells)


def _of_labels(rows: Sequence[PairedValue]) -> list[PairedValue]:
    return [row for row in rows if row.metric == MAIN_METRIC and row.label != MEAN]
