"""The methods of harmonization: what is fitted on training scans, and the function of each scan.

zscore    subtract the mean of the scan and divide by its standard deviation; nothing is fitted
nyul      piecewise linear map of the scan's landmarks to the mean landmarks of all training scans
          (Nyul and Udupa 1999, with the percentiles 1, 10, 20, ..., 90, 99)
spline    the curve of the scan's group: its quantiles, standardized by median and spread, are
          mapped to those of all training scans by a monotone spline

A function of a scan depends on that scan and on the fitted numbers alone. It never falls, so the
order of the intensities stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.harmonization.model import ChannelModel, GroupCurve
from segkit.harmonization.monotone_map import MonotoneMap, Numbers, monotone_map
from segkit.harmonization.values import ChannelValues

Fit = Callable[[str, Sequence[ChannelValues], Sequence[str]], ChannelModel]
"""Function of the channel's name, its values in each scan, and the group of each scan."""

_LANDMARKS = np.array([0.01, *np.arange(0.1, 0.95, 0.1), 0.99]).round(2)
_KNOTS = np.array(
    [0.005, 0.01, 0.025, 0.05, *np.arange(0.1, 0.95, 0.05), 0.95, 0.975, 0.99, 0.995]
).round(3)
_ROUNDING = 1e-20
"""Variance of standardized quantiles below which it is rounding, as at the median, which is 0."""
_SPREAD = np.array([0.5, 0.1, 0.9])
"""Probabilities of the median, and of the two quantiles whose distance is the spread."""


@dataclass(frozen=True)
class Method:
    """A method: how it is fitted, and how the function of a scan is made."""

    text: str
    fit: Fit
    mapping: Callable[[ChannelModel, ChannelValues, str | None], MonotoneMap]
    probabilities: NDArray[np.float64]
    """Probabilities of the quantiles that the method stores; empty if it stores none."""
    needs_groups: bool = False


def standardized(values: ChannelValues) -> tuple[float, float]:
    """Return the median of a channel, and the distance of its 10th and 90th percentile.

    If these are equal, the standard deviation takes the place of the distance.
    """
    median, low, high = (float(value) for value in values.at(_SPREAD))
    return median, (high - low) or values.std


def _constant(level: float) -> MonotoneMap:
    """Return the function that is 0: a scan with one value only has no spread to divide by."""
    return MonotoneMap(np.array([level, level + 1]), np.zeros(2), smooth=False)


# -- z-scores --------------------------------------------------------------------------------------


def _fit_nothing(name: str, values: Sequence[ChannelValues], groups: Sequence[str]) -> ChannelModel:
    del values, groups
    return ChannelModel(name)


def _zscore(model: ChannelModel, values: ChannelValues, group: str | None) -> MonotoneMap:
    del model, group
    if not values.std:
        return _constant(values.mean)
    ends = np.array([values.mean, values.mean + values.std])
    return MonotoneMap(ends, np.array([0.0, 1.0]), smooth=False)


# -- landmarks -------------------------------------------------------------------------------------

_SCALE = (1.0, 100.0)
"""Value of the first and the last landmark on the standard scale."""


def _fit_landmarks(
    name: str, values: Sequence[ChannelValues], groups: Sequence[str]
) -> ChannelModel:
    """Return the mean landmarks of all scans, each first scaled to `_SCALE`."""
    del groups
    scaled = [_scaled(landmarks) for each in values if np.ptp(landmarks := each.at(_LANDMARKS))]
    if not scaled:
        return ChannelModel(name, tuple(np.linspace(*_SCALE, len(_LANDMARKS)).tolist()))
    return ChannelModel(name, tuple(np.mean(scaled, axis=0).tolist()))


def _scaled(landmarks: Numbers) -> Numbers:
    low, high = _SCALE
    share = (landmarks - landmarks[0]) / (landmarks[-1] - landmarks[0])
    return np.asarray(low + (high - low) * share)


def _landmark_map(model: ChannelModel, values: ChannelValues, group: str | None) -> MonotoneMap:
    del group
    landmarks = values.at(_LANDMARKS)
    if not np.ptp(landmarks):
        return _constant(float(landmarks[0]))
    return monotone_map(landmarks, np.array(model.target), smooth=False)


# -- curves of the groups --------------------------------------------------------------------------


def _fit_curves(name: str, values: Sequence[ChannelValues], groups: Sequence[str]) -> ChannelModel:
    """Return the mean standardized quantiles of all scans and of each group, the latter shrunk."""
    found = [(_curve(each), group) for each, group in zip(values, groups, strict=True)]
    kept = [(curve, group) for curve, group in found if curve is not None]
    if not kept:
        knots = tuple(_KNOTS.tolist())
        return ChannelModel(name, knots, {group: GroupCurve(0, 0.0, knots) for group in groups})
    curves, names = np.stack([curve for curve, _ in kept]), [group for _, group in kept]
    pooled = curves.mean(axis=0)
    own = {group: curves[[other == group for other in names]] for group in sorted(set(names))}
    weights = shrinkage_weights(own)
    models = {}
    for group, members in own.items():
        weight = weights[group]
        shrunk = weight * members.mean(axis=0) + (1 - weight) * pooled
        models[group] = GroupCurve(len(members), weight, tuple(shrunk.tolist()))
    # A group all of whose scans are constant here is known, and its later scans are mapped as if
    # they were any of the training scans.
    common = tuple(pooled.tolist())
    models |= {group: GroupCurve(0, 0.0, common) for group in groups if group not in models}
    return ChannelModel(name, common, models)


def _curve(values: ChannelValues) -> Numbers | None:
    """Return the standardized quantiles of a scan; None for a constant one."""
    median, spread = standardized(values)
    return None if not spread else (values.at(_KNOTS) - median) / spread


def shrinkage_weights(curves: Mapping[str, Numbers]) -> dict[str, float]:
    """Return the weight of each group's own mean curve, from 0 to 1.

    The weight is that of the best linear predictor of a random effect: n T / (n T + S), with n
    scans of the group, the variance S of a curve within its group, and the variance T of the curves
    of the groups, by analysis of variance. Both are sums over the knots, each in units of its own
    variance within the groups, so that the noisy tails do not decide. The weight is 0 if the groups
    do not differ more than their scans let expect, or if no group has two scans.

    Args:
        curves: the curves (n, K) of the scans of each group.

    >>> shrinkage_weights({"a": np.array([[0.0], [2.0]]), "b": np.array([[6.0], [8.0]])})
    {'a': 0.9444444444444444, 'b': 0.9444444444444444}
    """
    sizes = Counter({group: len(members) for group, members in curves.items()})
    total, groups = sizes.total(), len(curves)
    if groups < 2 or total == groups:
        return dict.fromkeys(curves, 0.0)
    pooled = np.concatenate([*curves.values()]).mean(axis=0)
    means = {group: members.mean(axis=0) for group, members in curves.items()}
    inside = sum(np.square(curves[group] - means[group]).sum(axis=0) for group in curves)
    within = np.asarray(inside) / (total - groups)
    outside = sum(sizes[group] * np.square(means[group] - pooled) for group in curves)
    used = within > _ROUNDING
    ratio = float((np.asarray(outside)[used] / within[used]).sum())
    knots = int(used.sum())
    scale = total - sum(size**2 for size in sizes.values()) / total
    between = max(0.0, (ratio - (groups - 1) * knots) / scale)
    if not between:
        return dict.fromkeys(curves, 0.0)
    return {group: n * between / (n * between + knots) for group, n in sizes.items()}


def _curve_map(model: ChannelModel, values: ChannelValues, group: str | None) -> MonotoneMap:
    """Return the map of the scan's group; of an unknown group, that of the scan's own quantiles."""
    median, spread = standardized(values)
    if not spread:
        return _constant(median)
    curve = model.groups.get(group) if group is not None else None
    source = np.array(curve.quantiles) if curve else (values.at(_KNOTS) - median) / spread
    return monotone_map(median + spread * source, np.array(model.target))


METHODS: dict[str, Method] = {
    "zscore": Method(
        "mean 0 and standard deviation 1 in every scan", _fit_nothing, _zscore, np.array([])
    ),
    "nyul": Method(
        "landmarks of every scan to their mean over the training scans",
        _fit_landmarks,
        _landmark_map,
        _LANDMARKS,
    ),
    "spline": Method(
        "monotone curve of each group to that of all training scans",
        _fit_curves,
        _curve_map,
        _KNOTS,
        needs_groups=True,
    ),
}
"""The methods by name."""
