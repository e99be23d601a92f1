"""Charts of an evaluation: distribution of a metric per label, predicted and reference volumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.report.evaluation.case_table import number_text
from segkit.report.evaluation.results import interval_text
from segkit.report.svg import (
    MARGIN_BOTTOM,
    MARGIN_LEFT,
    MARGIN_RIGHT,
    MARGIN_TOP,
    WIDTH,
    Axis,
    axis_of,
    chart,
    horizontal,
    line,
    points,
    scatter,
    text,
    vertical,
)

LABELS_DRAWN = 12
"""Number of labels that are drawn, those with the lowest Dice first; tables have all."""
POINTS_DRAWN = 300
"""Number of cases up to which each is a dot; beyond, only those outside of the whiskers are."""
WHISKER = 1.5
"""Length of a whisker in interquartile ranges (Tukey 1977)."""
ROW, BOX = 52, 9
"""Height of the row of a label, and half the height of its box, in units of the chart."""
HEIGHT = 340
"""Height of a chart of volumes."""

ByCase = Mapping[str, float]


def lowest_labels(summary: Mapping[str, Any]) -> list[str]:
    """Return the labels to draw: at most LABELS_DRAWN, those with the lowest mean Dice."""
    labels = summary["distribution"]["labels"]
    known = [label for label in labels if labels[label]["dice"]["mean"] is not None]
    lowest = sorted(known, key=lambda label: labels[label]["dice"]["mean"])[:LABELS_DRAWN]
    return [label for label in known if label in lowest]


def distribution_chart(
    values: Mapping[str, ByCase], found: Mapping[str, Mapping[str, Any]], title: str
) -> str:
    """Return a chart with a row per label: dots for cases, box, whiskers, mean and its interval.

    Args:
        values: value of each case, by label; infinite values are left out.
        found: distribution of each of these labels.
        title: title of the metric.
    """
    finite = {
        label: {case: value for case, value in by_case.items() if math.isfinite(value)}
        for label, by_case in values.items()
    }
    drawn = {label: by_case for label, by_case in finite.items() if by_case}
    if not drawn:
        return ""
    height = MARGIN_TOP + ROW * len(drawn) + MARGIN_BOTTOM
    everything = [value for by_case in drawn.values() for value in by_case.values()]
    ends = [found[label][end] for label in drawn for end in ("low", "high")]
    everything += [end for end in ends if end is not None]
    axis = axis_of(everything, 14, WIDTH - MARGIN_RIGHT)
    parts = [horizontal(axis, height - MARGIN_BOTTOM, title, top=MARGIN_TOP)]
    for row, (label, by_case) in enumerate(drawn.items()):
        parts.append(_row(axis, MARGIN_TOP + ROW * row, label, by_case, found[label]))
    words = "; ".join(
        f"{label}: median {number_text(found[label]['median'])},"
        f" middle half {interval_text(found[label]['q1'], found[label]['q3'])}"
        for label in drawn
    )
    return chart(parts, height, f"Distribution of {title}. {words}.", _legend(title, drawn))


def _legend(title: str, drawn: Mapping[str, ByCase]) -> str:
    many = max(map(len, drawn.values())) > POINTS_DRAWN
    dots = "cases beyond the whiskers" if many else "cases"
    return (
        f"{title}. Dots: {dots}. Box: middle half with the median; whiskers: the farthest cases"
        f" within {WHISKER:g} times its length. Diamond: mean, with its 95 % interval."
    )


def _row(axis: Axis, top: float, label: str, by_case: ByCase, found: Mapping[str, Any]) -> str:
    middle = top + ROW - 18
    low, high = whiskers(list(by_case.values()), found["q1"], found["q3"])
    shown = by_case
    if len(by_case) > POINTS_DRAWN:
        shown = {case: value for case, value in by_case.items() if not low <= value <= high}
    places = [(axis.at(value), middle + scatter(case)) for case, value in shown.items()]
    names = [f"{case}: {number_text(value)}" for case, value in shown.items()]
    left, right = axis.at(found["q1"]), axis.at(found["q3"])
    median, mean = axis.at(found["median"]), axis.at(found["mean"])
    parts = [
        text(14, top + 14, label, anchor="start"),
        points(places, names),
        line(axis.at(low), middle, left, middle, "box"),
        line(right, middle, axis.at(high), middle, "box"),
        f'<rect x="{left:.1f}" y="{middle - BOX}" width="{max(right - left, 1):.1f}"'
        f' height="{2 * BOX}" class="box"/>',
        line(median, middle - BOX, median, middle + BOX, "median"),
    ]
    if found["low"] is not None:
        parts.append(line(axis.at(found["low"]), middle, axis.at(found["high"]), middle, "mean"))
    diamond = f"M{mean - 5:.1f} {middle}l5 -5l5 5l-5 5z"
    return "".join([*parts, f'<path d="{diamond}" class="mean"/>'])


def whiskers(values: Sequence[float], q1: float, q3: float) -> tuple[float, float]:
    """Return the farthest values within 1.5 interquartile ranges of the quartiles.

    >>> whiskers([0.0, 4.0, 5.0, 6.0, 7.0], 4.0, 6.0)
    (4.0, 7.0)
    """
    reach = WHISKER * (q3 - q1)
    return (
        min([value for value in values if value >= q1 - reach], default=q1),
        max([value for value in values if value <= q3 + reach], default=q3),
    )


# -- volumes ---------------------------------------------------------------------------------------


def volume_chart(volumes: Mapping[str, tuple[float, float]], label: str, unit: str) -> str:
    """Return a chart of predicted against reference volumes, with the line where they are equal.

    Args:
        volumes: predicted and reference volume of each case.
        label: name of the label.
        unit: unit of the volumes.
    """
    everything = [volume for pair in volumes.values() for volume in pair]
    horizontal_axis = axis_of(everything, MARGIN_LEFT, WIDTH - MARGIN_RIGHT)
    bottom = HEIGHT - MARGIN_BOTTOM
    vertical_axis = Axis(horizontal_axis.low, horizontal_axis.high, bottom, MARGIN_TOP)
    parts = [
        *_axes(horizontal_axis, vertical_axis, f"reference ({unit})", f"prediction ({unit})"),
        line(horizontal_axis.start, bottom, horizontal_axis.end, MARGIN_TOP, "dashed"),
        points(
            [
                (horizontal_axis.at(reference), vertical_axis.at(predicted))
                for predicted, reference in volumes.values()
            ],
            [
                f"{case}: predicted {number_text(predicted)}, reference {number_text(reference)}"
                for case, (predicted, reference) in volumes.items()
            ],
        ),
    ]
    above = sum(predicted > reference for predicted, reference in volumes.values())
    words = (
        f"{label}: predicted against reference volume. {above} of {len(volumes)} cases lie above"
        " the dashed line, on which both are equal: they are predicted too large."
    )
    return chart(parts, HEIGHT, words)


def difference_chart(
    volumes: Mapping[str, tuple[float, float]], found: Mapping[str, Any], label: str, unit: str
) -> str:
    """Return a Bland-Altman chart: difference against mean of both volumes, with limits.

    Args:
        volumes: predicted and reference volume of each case.
        found: agreement of these volumes.
        label: name of the label.
        unit: unit of the volumes.
    """
    differences = [predicted - reference for predicted, reference in volumes.values()]
    means = [(predicted + reference) / 2 for predicted, reference in volumes.values()]
    levels = [
        found[key] for key in ("bias", "lower_limit", "upper_limit") if found[key] is not None
    ]
    across = axis_of(means, MARGIN_LEFT, WIDTH - MARGIN_RIGHT)
    up = axis_of([*differences, *levels, 0.0], HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    names = [
        f"{case}: {number_text(difference)}"
        for case, difference in zip(volumes, differences, strict=True)
    ]
    places = [(across.at(x), up.at(y)) for x, y in zip(means, differences, strict=True)]
    kinds = ("median", "dashed", "dashed")
    parts = [
        *_axes(across, up, f"mean of both ({unit})", f"prediction - reference ({unit})"),
        line(across.start, up.at(0), across.end, up.at(0), "axis"),
        *(
            line(across.start, up.at(level), across.end, up.at(level), kind)
            for level, kind in zip(levels, kinds, strict=False)
        ),
        points(places, names),
    ]
    return chart(parts, HEIGHT, f"{label}: {agreement_words(found, unit)}")


def agreement_words(found: Mapping[str, Any], unit: str) -> str:
    """Return bias and limits of agreement in words."""
    bias = f"bias (full line) {number_text(found['bias'])} {unit}"
    if found["lower_limit"] is None:
        return f"{bias}; a single case has no limits of agreement."
    limits = f"{number_text(found['lower_limit'])} to {number_text(found['upper_limit'])} {unit}"
    return (
        f"{bias}, limits of agreement (dashed) {limits}: about 95 % of the differences lie between"
        " them if they are normally distributed."
    )


def _axes(across: Axis, up: Axis, below: str, beside: str) -> list[str]:
    return [
        horizontal(across, up.start, below, top=up.end),
        vertical(up, across.start, beside, right=across.end),
    ]
