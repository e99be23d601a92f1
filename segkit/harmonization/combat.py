"""ComBat: location and scale of every measurement at every site, by empirical Bayes.

Johnson, Li and Rabinovic (2007), as neuroCombat 0.2.12 computes it: a measurement is the sum of a
mean, the effects of covariates, and a location and scale of the site; these are shrunk towards
their means over all measurements of the site. Everything is a sum over patients of known sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

CONVERGED = 1e-4
"""Largest relative change of the last iteration, as in neuroCombat."""
_MOST_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class CombatFit:
    """Fitted numbers of F features, S sites and P columns of covariates."""

    means: Numbers
    """Mean (F,) of each feature over the sites, weighted by their patients."""
    variances: Numbers
    """Variance (F,) inside the sites and given the covariates."""
    effects: Numbers
    """Effect (P, F) of each column of covariates."""
    locations: Numbers
    """Location (S, F) of each site, in standard deviations."""
    scales: Numbers
    """Variance (S, F) of each site, as a multiple of the common one."""


def fit_combat(
    data: Numbers,
    sites: Sequence[str],
    covariates: Numbers,
    *,
    shrink: bool = True,
    mean_only: bool = False,
) -> CombatFit:
    """Return the fit.

    Args:
        data: features (N, F) of N patients: no feature is constant, and none is missing.
        sites: site of each patient; each has at least two patients.
        covariates: columns (N, P) whose effects are kept.
        shrink: shrink locations and scales over the features, of which there must be two or more.
        mean_only: fit locations only.
    """
    names = sorted(set(sites))
    members = np.array([[site == name for name in names] for site in sites], dtype=np.float64)
    counts = members.sum(axis=0)
    design = np.hstack([members, covariates])
    coefficients = np.asarray(np.linalg.lstsq(design, data, rcond=None)[0], dtype=np.float64)
    means = np.asarray(counts / len(data) @ coefficients[: len(names)], dtype=np.float64)
    variances: Numbers = np.square(data - design @ coefficients).mean(axis=0)
    effects: Numbers = coefficients[len(names) :]
    standard = (data - means - covariates @ effects) / np.sqrt(variances)
    of_sites = [standard[column > 0] for column in members.T]
    estimates = [_site(values, shrink=shrink, mean_only=mean_only) for values in of_sites]
    locations = np.stack([location for location, _ in estimates])
    scales = np.stack([scale for _, scale in estimates])
    return CombatFit(means, variances, effects, locations, scales)


def apply_combat(
    fit: CombatFit, data: Numbers, sites: Sequence[int | None], covariates: Numbers
) -> Numbers:
    """Return the features (N, F) without the effects of the sites.

    Args:
        fit: the fit.
        data: features of new or training patients; NaN stays NaN.
        sites: index of the site of each patient, in the order of the names; None for an unseen
            site, whose patients are left as they are.
        covariates: their columns (N, P) of covariates.
    """
    result = np.array(data, dtype=np.float64)
    known = [row for row, site in enumerate(sites) if site is not None]
    index = [site for site in sites if site is not None]
    if known:
        predicted = fit.means + covariates[known] @ fit.effects
        deviation = np.sqrt(fit.variances)
        standard = (result[known] - predicted) / deviation
        standard = (standard - fit.locations[index]) / np.sqrt(fit.scales[index])
        result[known] = standard * deviation + predicted
    return result


def _site(values: Numbers, *, shrink: bool, mean_only: bool) -> tuple[Numbers, Numbers]:
    """Return location and scale (F,) of one site from its standardized features (N, F)."""
    location = values.mean(axis=0)
    ones = np.ones(values.shape[1])
    scale = ones if mean_only else values.var(axis=0, ddof=1)
    scale = np.where(scale == 0, 1.0, scale)
    if not shrink:
        return location, scale
    center, spread = float(location.mean()), float(location.var(ddof=1))
    if mean_only:
        return _posterior_location(location, center, 1, ones, spread), ones
    return _converged(values, location, scale, (center, spread))


def _converged(
    values: Numbers, location: Numbers, scale: Numbers, prior: tuple[float, float]
) -> tuple[Numbers, Numbers]:
    """Return the posterior means of location and scale, which depend on each other.

    The prior of the locations is normal and that of the scales inverse gamma, with the moments of
    all features. neuroCombat (and sva in R) divides the change of a location by its signed value,
    so that negative ones do not count for convergence; this is kept, to get the same numbers.
    """
    center, spread = prior
    mean, variance = float(scale.mean()), float(scale.var(ddof=1))
    if not variance:
        # All scales are equal: the prior holds them there.
        return _posterior_location(location, center, len(values), scale, spread), scale
    shape = (2 * variance + mean**2) / variance
    rate = (mean * variance + mean**3) / variance
    old_location, old_scale = location, scale
    for _ in range(_MOST_ITERATIONS):
        new_location = _posterior_location(location, center, len(values), old_scale, spread)
        squares = np.square(values - new_location).sum(axis=0)
        new_scale = (0.5 * squares + rate) / (len(values) / 2 + shape - 1)
        change = max(
            _largest_change(new_location, old_location), _largest_change(new_scale, old_scale)
        )
        old_location, old_scale = new_location, new_scale
        if change <= CONVERGED:
            break
    return old_location, old_scale


def _posterior_location(
    location: Numbers, center: float, patients: int, scale: Numbers, spread: float
) -> Numbers:
    return np.asarray((spread * patients * location + scale * center) / (spread * patients + scale))


def _largest_change(new: Numbers, old: Numbers) -> float:
    used = old != 0
    if not used.any():
        return 0.0
    return float((np.abs(new - old)[used] / old[used]).max())
