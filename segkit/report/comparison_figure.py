"""Chart of paired differences: a dot for each case, and the mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.paired import PairedValue
from segkit.report.svg import (
    MARGIN_BOTTOM,
    MARGIN_RIGHT,
    WIDTH,
    Axis,
    chart,
    horizontal,
    line,
    points,
    scatter,
    text,
)

MOST_LABELS = 12
"""Largest number of labels in a chart."""
MOST_DOTS = 300
"""Largest number of cases that are drawn for a label."""
TOP, LEFT, ROW = 30, 14, 52
"""Height above the first row, left margin and height of a row, in units of the chart."""


def shown_labels(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the results that a chart shows: all that have a difference, or the largest ones.

    Args:
        results: entries of comparison.json of one metric.
    """
    found = [entry for entry in results if entry["difference"] is not None]
    largest = sorted(found, key=lambda entry: -abs(entry["difference"]))[:MOST_LABELS]
    chosen = {entry["label"] for entry in largest}
    return [entry for entry in found if entry["label"] in chosen]


def difference_chart(
    results: Sequence[Mapping[str, Any]], rows: Sequence[PairedValue], *, caption: str
) -> str:
    """Return a chart as HTML, with a row for each label; zero is in its middle.

    Args:
        results: entries of comparison.json to show, of one metric.
        rows: values of both in every case of this metric.
        caption: text below the chart.
    """
    metric, bottom = results[0]["metric"], TOP + ROW * len(results)
    axis = _axis([row.difference for row in rows if row.difference is not None], results)
    parts = [horizontal(axis, bottom, f"{metric}, B - A", top=TOP - 6), _sides(axis, results[0])]
    for number, entry in enumerate(results):
        of_label = [row for row in rows if row.label == entry["label"]]
        parts.append(_row(axis, TOP + ROW * number, entry, of_label))
    parts.append(line(axis.at(0.0), bottom, axis.at(0.0), TOP - 6, "box"))
    words = "; ".join(f"{entry['label']}: {entry['verdict']}" for entry in results)
    return chart(parts, bottom + MARGIN_BOTTOM, f"Differences in {metric}. {words}.", caption)


def _axis(differences: Sequence[float], results: Sequence[Mapping[str, Any]]) -> Axis:
    """Return an axis with zero in the middle."""
    ends = [entry[key] for entry in results for key in ("low", "high") if entry[key] is not None]
    most = max(map(abs, (*differences, *ends)), default=0.0) * 1.05 or 1.0
    return Axis(-most, most, LEFT, WIDTH - MARGIN_RIGHT)


def _sides(axis: Axis, entry: Mapping[str, Any]) -> str:
    """Return words on which side which of the two is better."""
    left, right = ("A", "B") if entry["higher_is_better"] else ("B", "A")
    return text(axis.start, 14, f"\N{LEFTWARDS ARROW} {left} is better", anchor="start") + text(
        axis.end, 14, f"{right} is better \N{RIGHTWARDS ARROW}", anchor="end"
    )


def _row(axis: Axis, top: float, entry: Mapping[str, Any], rows: Sequence[PairedValue]) -> str:
    middle, mean = top + ROW - 18, axis.at(entry["difference"])
    found = evenly([(row.case, row.difference) for row in rows if row.difference is not None])
    places = [(axis.at(value), middle + scatter(case)) for case, value in found]
    parts = [
        text(LEFT, top + 14, entry["label"], anchor="start"),
        points(places, [f"{case}: {value:+.4g}" for case, value in found]),
    ]
    if entry["low"] is not None:
        parts.append(line(axis.at(entry["low"]), middle, axis.at(entry["high"]), middle, "mean"))
    diamond = f"M{mean - 5:.1f} {middle}l5 -5l5 5l-5 5z"
    return "".join([*parts, f'<path d="{diamond}" class="mean"/>'])


def evenly(values: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return at most `MOST_DOTS` cases that show the distribution: evenly by rank, with both ends.

    >>> len(evenly([("a", 0.5)])), len(evenly([(str(i), i / 900) for i in range(900)]))
    (1, 300)
    """
    if len(values) <= MOST_DOTS:
        return list(values)
    ordered = sorted(values, key=lambda case_and_value: case_and_value[1])
    step = (len(ordered) - 1) / (MOST_DOTS - 1)
    return [ordered[round(number * step)] for number in range(MOST_DOTS)]
