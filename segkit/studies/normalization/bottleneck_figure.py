"""Figure of the bottleneck: size of the pools and spread of the statistics, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segkit.report.figures import Line, draw_lines, new_figure

Row = Mapping[str, Any]
"""Measurement by `segkit.studies.normalization.measurement.COLUMNS`."""

PANELS = {
    "pool": ("values of one mean", "Size of the pools"),
    "spread_mean": ("standard deviations", "How much the mean differs"),
    "spread_sd": ("share of its mean", "How much the standard deviation differs"),
}
"""Name of the vertical axis and title, by measure."""
BOTTLENECK = "bottleneck"
"""Beginning of the names of the layers at the lowest resolution."""


def bottleneck_figure(rows: Sequence[Row], own_norm: str) -> Figure | None:
    """Return a figure with a panel per measure and a line per batch size; None without rows.

    Args:
        rows: measurements of one network, or of the same with several seeds, of which the mean is
            drawn; measures other than those of PANELS are ignored.
        own_norm: name of the network's norm, whose groups have a line of their own.
    """
    layers = list(dict.fromkeys(row["layer"] for row in rows if row["measure"] in PANELS))
    measures = [name for name in PANELS if any(row["measure"] == name for row in rows)]
    if not measures:
        return None
    figure, axes = new_figure(len(measures), columns=len(measures))
    for part, measure in zip(axes, measures, strict=True):
        y_label, title = PANELS[measure]
        lines = _lines([row for row in rows if row["measure"] == measure], layers, own_norm)
        _mark_bottleneck(part, layers)
        draw_lines(part, lines, x_label="layer", y_label=y_label, title=title)
        part.set_xticks(range(len(layers)), layers, rotation=90, fontsize="x-small")
        if measure == "pool":
            part.set_yscale("log")
        else:
            part.set_ylim(bottom=0)
    _share_legend(figure, axes)
    return figure


def _lines(rows: Sequence[Row], layers: Sequence[str], own_norm: str) -> list[Line]:
    sizes = sorted({row["batch"] for row in rows if row.get("batch")})
    lines = []
    for number, size in enumerate([*sizes, None]):
        values: dict[int, list[float]] = {}
        for row in rows:
            if row.get("batch") == size:
                values.setdefault(layers.index(row["layer"]), []).append(float(row["value"]))
        label = f"batch norm, between batches of {size}" if size else f"{own_norm}, between patches"
        if values:
            means = [sum(found) / len(found) for found in values.values()]
            lines.append(Line(label, list(values), means, number=number))
    return lines


def _mark_bottleneck(axes: Axes, layers: Sequence[str]) -> None:
    places = [place for place, name in enumerate(layers) if name.startswith(BOTTLENECK)]
    if places:
        axes.axvspan(places[0] - 0.5, places[-1] + 0.5, color="gray", alpha=0.15, linewidth=0)


def _share_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Replace the legends of the panels, which would hide lines, by one below them."""
    for part in axes:
        legend = part.get_legend()
        if legend is not None:
            legend.remove()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
