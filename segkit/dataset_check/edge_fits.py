"""Compare the profile of a label's edge with that of the other cases."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.edge_profiles import OFFSETS, EdgeProfile

SHIFTS = np.arange(-15, 16) / 10
"""Displacements of the edge in voxels that are tried; positive ones are outward."""
MOST_CORRELATION = 0.98
"""Largest correlation that counts: above it, differences are those of noise."""
_AS_IS = len(SHIFTS) // 2
"""Position of the displacement 0."""


@dataclass(frozen=True)
class EdgeFit:
    """How a profile agrees with a reference."""

    shift: float
    """Displacement outward of the edge in voxels at which it agrees best."""
    best: float
    """Correlation with the reference there."""
    as_is: float
    """Correlation with the reference without a displacement."""


def reference_profile(profiles: Sequence[EdgeProfile]) -> NDArray[np.float64]:
    """Return the median (rows, columns) of the profiles of several cases."""
    values = np.stack([profile.values for profile in profiles]).astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        median: NDArray[np.float64] = np.nanmedian(values, axis=0)
    return median


def fit(profile: EdgeProfile, reference: NDArray[np.float64]) -> EdgeFit:
    """Return how well a profile agrees with a reference, and the displacement that fits best.

    A label whose edge lies d voxels farther out reads at k what the others read at k + d. The
    correlation is over all directions and positions, weighted by the number of faces.

    >>> step = np.tile(np.array([1, 1, 1, 1, 0, 0, 0, 0.0]), (6, 1))
    >>> out = EdgeProfile(np.roll(step, -1, axis=1).astype(np.float32), np.ones(6, np.float32))
    >>> fit(out, step).shift
    1.0
    """
    places = np.arange(len(OFFSETS)) + SHIFTS[:, None]
    low = np.clip(np.floor(places).astype(int), 0, len(OFFSETS) - 2)
    part = places - low
    shifted = reference[:, low] * (1 - part) + reference[:, low + 1] * part
    exists = (places >= 0) & (places <= len(OFFSETS) - 1)
    values = np.broadcast_to(profile.values[:, None].astype(np.float64), shifted.shape)
    weights = np.tile(profile.faces, len(reference) // 6)[:, None, None] * exists[None]
    known = np.isfinite(values) & np.isfinite(shifted)
    found = _correlation(
        np.where(known, values, 0), np.where(known, shifted, 0), np.where(known, weights, 0)
    )
    best = int(found.argmax())
    return EdgeFit(float(SHIFTS[best]), float(found[best]), float(found[_AS_IS]))


def _correlation(
    one: NDArray[np.float64], other: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted correlation over the first and last axis; 0 without any spread."""
    total = np.maximum(weights.sum(axis=(0, 2)), 1e-12)
    one = one - ((weights * one).sum(axis=(0, 2)) / total)[:, None]
    other = other - ((weights * other).sum(axis=(0, 2)) / total)[:, None]
    both = (weights * one * other).sum(axis=(0, 2))
    spread = (weights * one**2).sum(axis=(0, 2)) * (weights * other**2).sum(axis=(0, 2))
    result: NDArray[np.float64] = both / np.sqrt(np.maximum(spread, 1e-12))
    return result


def agreement(correlation: float) -> float:
    """Return Fisher's transform of a correlation, whose spread hardly depends on its size."""
    return float(np.arctanh(np.clip(correlation, -MOST_CORRELATION, MOST_CORRELATION)))
