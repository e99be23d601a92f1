"""Figures of a harmonization: densities before and after, and differences between groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from segkit.harmonization.methods import METHODS
from segkit.harmonization.values import PROBABILITIES, ChannelValues
from segkit.report.figures import Line, draw_lines, new_figure, save_figure, style_of

Numbers = NDArray[np.float64]
Curves = NDArray[np.float64]

_BINS = 200
_SMOOTHING = 2.0
"""Standard deviation in bins with which a density is smoothed."""
_FAR_APART = 20.0
"""Ratio of the spreads of two groups from which the axis is logarithmic."""
_MOST_SCANS = 60
"""Largest number of scans that are drawn as thin lines."""


def density_figure(
    stem: Path, before: Curves, after: Curves, groups: Sequence[str], channel: str
) -> Path:
    """Draw the densities of all groups before and after, and return the PNG.

    Args:
        stem: path of the figure without its suffix.
        before: quantiles (N, LEVELS) of the scans.
        after: the same after harmonization.
        groups: group of each scan.
        channel: name of the channel.
    """
    figure, panels = new_figure(2)
    _densities(panels[0], before, groups)
    panels[0].set_title(f"{channel}: before")
    _densities(panels[1], after, groups)
    panels[1].set_title(f"{channel}: after")
    return save_figure(figure, stem)


def difference_figure(
    stem: Path, values: Sequence[ChannelValues], after: Curves, groups: Sequence[str], channel: str
) -> Path:
    """Draw how the quantiles of each group differ from those of all scans, and return the PNG.

    The left panel shows z-scores of each scan, the right one the harmonized scans, both in units of
    the mean standard deviation of a scan, so that the panels can be compared.

    Args:
        stem: path of the figure without its suffix.
        values: values of the channel in each scan.
        after: quantiles (N, LEVELS) after harmonization.
        groups: group of each scan.
        channel: name of the channel.
    """
    scores = zscored(values)
    figure, panels = new_figure(2)
    _differences(panels[0], scores, groups, f"{channel}: z-scores")
    _differences(panels[1], after, groups, f"{channel}: harmonized")
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)
    return save_figure(figure, stem)


def zscored(values: Sequence[ChannelValues]) -> Curves:
    """Return the quantiles (N, LEVELS) of each scan as z-scores of that scan."""
    method = METHODS["zscore"]
    model = method.fit("", [], [])
    return np.stack([method.mapping(model, own, None)(own.quantiles) for own in values])


def _densities(axes: Axes, curves: Curves, groups: Sequence[str]) -> None:
    names = sorted(set(groups))
    far_apart = _is_far_apart(curves, groups)
    shown = np.arcsinh(curves) if far_apart else curves
    members_of = {name: shown[[group == name for group in groups]] for name in names}
    # Of each group, so that the tails of a small group are not cut off.
    ends = np.quantile(np.stack([*map(_ends, members_of.values())]), [0, 1], axis=0)
    low, high = ends[0, 0], ends[1, 1]
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    centers = (edges[1:] + edges[:-1]) / 2
    places = np.sinh(centers) if far_apart else centers
    for number, name in enumerate(names):
        members = members_of[name]
        color = style_of(number)["color"]
        for curve in members[:_MOST_SCANS]:
            axes.plot(places, _density(curve, edges), color=color, alpha=0.12, linewidth=0.5)
        label = f"{name} ({len(members)})"
        axes.plot(places, _density(members.ravel(), edges), color=color, linewidth=2, label=label)
    if far_apart:
        axes.set_xscale("symlog", linthresh=1.0)
    axes.set(xlabel="intensity", ylabel="density, on the scale of the axis")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _ends(curves: Curves) -> Numbers:
    return np.asarray(np.quantile(curves, [0.001, 0.999]))


def _is_far_apart(curves: Curves, groups: Sequence[str]) -> bool:
    """Return whether the groups differ so much in spread that one axis hides the narrow ones."""
    spreads = [
        float(np.ptp(curves[[group == name for group in groups]].mean(axis=0)))
        for name in set(groups)
    ]
    return max(spreads) > _FAR_APART * max(min(spreads), 1e-12)


def _density(values: Numbers, edges: Numbers) -> Numbers:
    counts, _ = np.histogram(values, edges)
    share = counts / (len(values) * (edges[1] - edges[0]))
    return np.asarray(gaussian_filter1d(share, _SMOOTHING, mode="constant"))


def _differences(axes: Axes, curves: Curves, groups: Sequence[str], title: str) -> None:
    unit = float(curves.std(axis=1).mean()) or 1.0
    pooled = curves.mean(axis=0)
    lines = []
    for name in sorted(set(groups)):
        members = curves[[group == name for group in groups]]
        difference = (members.mean(axis=0) - pooled) / unit
        error = members.std(axis=0, ddof=min(1, len(members) - 1)) / unit / np.sqrt(len(members))
        lines.append(
            Line(
                name,
                (100 * PROBABILITIES[::16]).tolist(),
                difference[::16].tolist(),
                (difference - 2 * error)[::16].tolist(),
                (difference + 2 * error)[::16].tolist(),
            )
        )
    draw_lines(
        axes, lines, x_label="percentile", y_label="difference from all scans, in SD", title=title
    )
