"""Groups discovered from intensities: a Gaussian mixture whose number of components is chosen.

Every scan is described by the logarithms of its location and spread, per channel. Scanners and
protocols that store other units or gains are then far apart, and scans of one of them are close.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from segkit.harmonization.methods import standardized
from segkit.harmonization.model import Mixture
from segkit.harmonization.values import ChannelValues

Numbers = NDArray[np.float64]

MOST_GROUPS = 8
"""Largest number of groups that is tried."""
SCANS_PER_GROUP = 10
"""Number of scans per group that there must be for a number of groups to be tried."""
_STARTS = 5
_STEPS = 100
_FLOOR = 1e-4
"""Smallest variance of a component: a standard deviation of one percent of location or spread."""
_OUTSIDE = 1e-4
"""Probability with which a scan of a known group is taken for one of an unknown group."""


@dataclass(frozen=True, eq=False)
class _Fit:
    weights: Numbers
    means: Numbers
    covariances: Numbers
    likelihood: float
    """Logarithm of the likelihood of all scans."""
    membership: Numbers
    """Probability (N, K) of each group for each scan."""

    @property
    def criterion(self) -> float:
        """BIC plus twice the entropy of the membership (Biernacki et al. 2000): lower is better.

        The entropy keeps one group of another shape than a Gaussian from being split in two.
        """
        scans, groups = self.membership.shape
        size = self.means.shape[1]
        parameters = groups * (size + size * (size + 1) / 2) + groups - 1
        share = self.membership
        entropy = -float((share * np.log(np.maximum(share, 1e-300))).sum())
        return float(parameters * math.log(scans) - 2 * self.likelihood + 2 * entropy)


def features(values: Sequence[ChannelValues]) -> Numbers:
    """Return the description (2 C,) of a scan: location and log spread of each channel.

    The location is asinh of the median: a logarithm for large values that allows negative ones.
    """
    rows = []
    for channel in values:
        median, spread = standardized(channel)
        rows += [math.asinh(median), math.log(spread) if spread else math.log(1e-6)]
    return np.array(rows)


def discover(scans: Sequence[Sequence[ChannelValues]]) -> Mixture:
    """Return the groups of scans, named ``group_1``, ... in the order of their location.

    The number of groups is the one with the lowest criterion of `_Fit`. The result does not depend
    on chance: the starting points are seeded.

    Args:
        scans: the values of the channels of each scan.
    """
    points = np.stack([features(values) for values in scans])
    most = max(1, min(MOST_GROUPS, len(points) // SCANS_PER_GROUP))
    fits = [_best_of_starts(points, groups) for groups in range(1, most + 1)]
    best = min(fits, key=lambda fit: fit.criterion)
    order = np.argsort(best.means[:, 0])
    return Mixture(
        names=tuple(f"group_{number + 1}" for number in range(len(order))),
        weights=tuple(best.weights[order].tolist()),
        means=tuple(tuple(row) for row in best.means[order].tolist()),
        covariances=tuple(
            tuple(tuple(row) for row in matrix) for matrix in best.covariances[order].tolist()
        ),
    )


def most_likely(mixture: Mixture, values: Sequence[ChannelValues]) -> str | None:
    """Return the group of a scan; None if it lies outside of all groups.

    A scan lies outside if its Mahalanobis distance from every group exceeds the one that a scan of
    that group exceeds once in 10,000 times.
    """
    point = features(values)[None]
    means, covariances = np.array(mixture.means), np.array(mixture.covariances)
    limit = float(scipy.stats.chi2.ppf(1 - _OUTSIDE, point.shape[1]))
    distances = _distances(point, means, covariances)[0]
    if distances.min() > limit:
        return None
    densities = _log_densities(point, np.array(mixture.weights), means, covariances)[0]
    return mixture.names[int(np.argmax(densities))]


def _best_of_starts(points: Numbers, groups: int) -> _Fit:
    fits = [_fitted(points, _start(points, groups, seed)) for seed in range(_STARTS)]
    return max(fits, key=lambda fit: fit.likelihood)


def _start(points: Numbers, groups: int, seed: int) -> Numbers:
    """Return the membership (N, K) by the nearest of K random scans that are far apart."""
    random = np.random.default_rng(seed)
    centers = [points[random.integers(len(points))]]
    while len(centers) < groups:
        nearest = _nearest(points, centers).min(axis=1)
        total = nearest.sum()
        odds = nearest / total if total else None
        centers.append(points[random.choice(len(points), p=odds)])
    return np.asarray(np.eye(groups)[_nearest(points, centers).argmin(axis=1)])


def _nearest(points: Numbers, centers: Sequence[Numbers]) -> Numbers:
    return np.stack([np.square(points - center).sum(axis=1) for center in centers], axis=1)


def _fitted(points: Numbers, membership: Numbers) -> _Fit:
    """Return the mixture that expectation and maximization find from a start."""
    likelihood = -math.inf
    for _ in range(_STEPS):
        weights, means, covariances = _maximized(points, membership)
        densities = _log_densities(points, weights, means, covariances)
        sums = scipy.special.logsumexp(densities, axis=1)
        membership = np.exp(densities - sums[:, None])
        before, likelihood = likelihood, float(sums.sum())
        if likelihood - before < 1e-6 * len(points):
            break
    return _Fit(weights, means, covariances, likelihood, membership)


def _maximized(points: Numbers, membership: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return weights (K,), means (K, D) and covariances (K, D, D) of the members."""
    counts = membership.sum(axis=0) + 1e-9
    means = membership.T @ points / counts[:, None]
    from_mean = points[:, None] - means
    covariances = np.einsum("nk,nki,nkj->kij", membership, from_mean, from_mean)
    covariances = covariances / counts[:, None, None] + _FLOOR * np.eye(points.shape[1])
    return counts / counts.sum(), means, covariances


def _log_densities(
    points: Numbers, weights: Numbers, means: Numbers, covariances: Numbers
) -> Numbers:
    """Return log(weight x density) of every component at every point, (N, K)."""
    determinants = np.linalg.slogdet(covariances)[1]
    constant = points.shape[1] * math.log(2 * math.pi)
    distances = _distances(points, means, covariances)
    return np.asarray(np.log(weights) - 0.5 * (distances + determinants + constant))


def _distances(points: Numbers, means: Numbers, covariances: Numbers) -> Numbers:
    """Return the squared Mahalanobis distance of every point from every component, (N, K)."""
    from_mean = points[:, None] - means
    solved = np.linalg.solve(covariances, from_mean[..., None])[..., 0]
    return np.asarray((from_mean * solved).sum(axis=-1))
