"""Wilcoxon's signed-rank test of paired differences, and Holm's correction for several tests.

The test is written out here because that of scipy chooses its method by the version, the number of
values and the ties among them: the tables of segkit name the method, so it must not change. Up to
`EXACT_UP_TO` differences the p value is exact, with ties too: it is the share of all assignments of
signs to the ranks that are at least as uneven. Beyond, it is that of the normal distribution with
the variance corrected for ties, without correction for continuity. Differences of zero say nothing
about a direction and are left out (Wilcoxon 1945); they are counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

EXACT_UP_TO = 200
"""Largest number of differences with an exact p value; 200 take a few milliseconds."""
EXACT = "exact"
NORMAL = "normal approximation"


@dataclass(frozen=True)
class SignedRank:
    """Result of the two-sided test."""

    p: float
    n: int
    """Number of differences that are not zero; the test rests on these."""
    zeros: int
    """Number of differences of zero, which are left out."""
    method: str
    """EXACT or NORMAL."""
    direction: int = 0
    """Sign with the larger sum of ranks, 1 or -1; 0 if both sums are equal."""

    @property
    def smallest_p(self) -> float:
        """The smallest p value that the test can give with ``n`` differences: all of one sign.

        >>> SignedRank(0.25, 4, 0, EXACT).smallest_p
        0.125
        """
        return 2.0 ** (1 - self.n) if self.n else 1.0


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Return the two-sided signed-rank test of whether differences are symmetric about zero.

    Without any difference other than zero, p is 1.

    Args:
        differences: finite differences; equal ones share a rank, so they should be rounded.

    All four differences point one way, which 2 of the 16 assignments of signs do:

    >>> signed_rank([0.1, 0.2, 0.3, 0.4])
    SignedRank(p=0.125, n=4, zeros=0, method='exact', direction=1)
    >>> signed_rank([0.0, 0.0])
    SignedRank(p=1.0, n=0, zeros=2, method='exact', direction=0)
    """
    values = np.asarray(differences, np.float64)
    moved = values[values != 0]
    ranks = mean_ranks(np.abs(moved))
    exact = moved.size <= EXACT_UP_TO
    compute = _exact_p if exact else _normal_p
    zeros = int(values.size - moved.size)
    p = compute(ranks, moved > 0)
    direction = int(np.sign(np.sign(moved) @ ranks))
    return SignedRank(p, int(moved.size), zeros, EXACT if exact else NORMAL, direction)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for their number (Holm 1979).

    The smallest is multiplied by their number n, the next one by n - 1, and so on; none is smaller
    than the one before it, and none is above 1.

    >>> holm([0.03, 0.01, 0.04])
    [0.06, 0.03, 0.06]
    """
    corrected = [0.0] * len(p_values)
    reached = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = reached
    return corrected


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value, from 1 on; equal values share the mean of their ranks.

    It is scipy.stats.rankdata, whose package takes long to import.

    >>> mean_ranks(np.array([0.5, 0.25, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(ranks[index.reshape(-1)], dtype=np.float64)


def _exact_p(ranks: NDArray[np.float64], positive: NDArray[Any]) -> float:
    """Return the share of all 2^n assignments of signs whose rank sum is as far from the middle."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # ranks of ties are halves
    shares = _shares_of_sums(doubled)
    observed = int(doubled[positive].sum())
    tail = min(observed, shares.size - 1 - observed)
    if 2 * tail == shares.size - 1:
        return 1.0
    return float(min(1.0, 2 * math.fsum(shares[: tail + 1])))


def _shares_of_sums(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each sum, from 0 on, the share of the subsets of ``ranks`` that have it.

    >>> _shares_of_sums(np.array([1, 2])).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    shares = np.zeros(int(ranks.sum()) + 1)
    shares[0] = 1.0
    reached = 0
    for rank in ranks:
        reached += int(rank)
        with_rank = shares[: reached + 1 - rank] / 2
        shares[: reached + 1] /= 2
        shares[rank : reached + 1] += with_rank
    return shares


def _normal_p(ranks: NDArray[np.float64], positive: NDArray[Any]) -> float:
    n = ranks.size
    # The sum of squared ranks is that of 1 to n, less the correction for ties.
    spread = math.sqrt(float((ranks**2).sum()) / 4)
    z = (float(ranks[positive].sum()) - n * (n + 1) / 4) / spread
    return float(2 * ndtr(-abs(z)))
