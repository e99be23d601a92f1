"""Lines of the figures of the normalization study: a norm over batch sizes, overlaps or samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from segkit.evaluation.intervals import SHARE, UNLIMITED, Interval, Limits, Values, mean_interval
from segkit.report.figures import Line
from segkit.studies.cells import Row
from segkit.studies.normalization.settings import NormalizationSettings
from segkit.studies.normalization.summary import Arm, overlaps_of, values_of

Rows = Mapping[Arm, Sequence[Row]]
"""Rows of a table by arm."""
ORDER = (
    "group",
    "batch",
    "instance",
    "batch_renorm",
    "group_ws",
    "layer",
    "group_8",
    "group_2",
    "group_4",
    "group_16",
)
"""Norms in the order of their colors; the last two share a color with others, but not a style."""


def over_batches(
    settings: NormalizationSettings,
    rows: Rows,
    values: Callable[[Sequence[Row]], Values],
    limits: Limits = UNLIMITED,
) -> list[Line]:
    """Return a line per norm: mean and interval at every batch size."""
    lines: list[Line] = []
    sizes = sorted(settings.batch_sizes)
    for norm in settings.norms:
        found = {
            float(size): mean_interval(values(rows.get(Arm(norm, size), ())), limits=limits)
            for size in sizes
        }
        lines += _with_intervals(norm, found)
    return lines


def over_overlaps(
    settings: NormalizationSettings, rows: Rows, size: int, measure: str
) -> list[Line]:
    """Return a line per norm at one batch size: mean and interval at every overlap."""
    lines: list[Line] = []
    for norm in settings.norms:
        found = rows.get(Arm(norm, size), ())
        intervals = {
            overlap: mean_interval(values_of(found, measure, overlap=overlap), limits=SHARE)
            for overlap in overlaps_of(found)
        }
        lines += _with_intervals(norm, intervals)
    return lines


def _with_intervals(norm: str, found: Mapping[float, Interval | None]) -> list[Line]:
    """Return the line of a norm through its means, or none if nothing was measured."""
    points = {x: interval for x, interval in found.items() if interval}
    if not points:
        return []
    intervals = list(points.values())
    ends = [interval.ends or (interval.mean, interval.mean) for interval in intervals]
    return [
        Line(
            norm,
            list(points),
            [interval.mean for interval in intervals],
            [low for low, _ in ends],
            [high for _, high in ends],
            number=_number(norm),
        )
    ]


def over_samples(
    settings: NormalizationSettings, rows: Rows, size: int, measure: str
) -> list[Line]:
    """Return a line per norm at one batch size: the mean over seeds by patches seen."""
    return [
        line_of(norm, points)
        for norm in settings.norms
        if (points := means(rows.get(Arm(norm, size), ()), measure, "samples"))
    ]


def means(rows: Sequence[Row], measure: str, column: str, layer: str = "") -> dict[float, float]:
    """Return the mean over seeds of a measure by a column, in ascending order.

    Rows of single labels are left out: the mean over labels has its own rows.
    """
    found: dict[float, list[float]] = {}
    for row in rows:
        if is_measure(row, measure) and row.get("layer", "") == layer and not row.get("label"):
            found.setdefault(float(row[column] or 0), []).append(float(row["value"] or 0))
    return {x: mean(found[x]) for x in sorted(found)}


def layers_of(rows: Rows, measure: str) -> list[str]:
    """Return the layers that have a measure, in the order of the network."""
    return list(
        dict.fromkeys(
            str(row["layer"])
            for found in rows.values()
            for row in found
            if is_measure(row, measure)
        )
    )


def is_measure(row: Row, measure: str) -> bool:
    """Return whether a row has a value of the measure."""
    return row["measure"] == measure and row["value"] is not None


def line_of(label: str, points: Mapping[float, float], number: int | None = None) -> Line:
    """Return the line through points (x, y); its color is that of the norm, or ``number``."""
    ordered = sorted(points)
    number = _number(label) if number is None else number
    return Line(label, ordered, [points[x] for x in ordered], number=number)


def _number(norm: str) -> int:
    """Return the number of a norm's color, the same in all figures."""
    return ORDER.index(norm)
