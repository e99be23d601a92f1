"""Bootstrap samples, drawn once for all values of equal number."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Number of samples."""
BLOCKS = 10
"""Number of parts in which samples are drawn."""
_SEED = 20_070


def deviations_of_means(
    values: NDArray[np.float64], samples: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return deviations of the mean of bootstrap samples of ``values`` from their mean.

    Args:
        values: the values, (N,).
        samples: how often each value is in each sample, (DRAWS, N).
    """
    count = len(values)
    deviations = (values - values.mean()) * math.sqrt(count / (count - 1))
    # In blocks, so that a thousand cases take little memory.
    sums = [block.astype(np.float64) @ deviations for block in np.split(samples, BLOCKS)]
    return np.asarray(np.concatenate(sums) / count, dtype=np.float64)


@lru_cache(maxsize=4)
def resamples(sizes: tuple[int, ...]) -> tuple[NDArray[np.uint8], ...]:
    """Return bootstrap samples of several sets: how often each value is in each of them.

    They are the same at any time, and kept, since tables have many metrics and labels of the same
    cases; a thousand cases take 10 MB.

    >>> [samples.shape for samples in resamples((3, 2))]
    [(10000, 3), (10000, 2)]

    Args:
        sizes: number of values of each set.
    """
    random = np.random.default_rng(_SEED)
    return tuple(
        np.concatenate([_counts(random, size, DRAWS // BLOCKS) for _ in range(BLOCKS)])
        for size in sizes
    )


def _counts(random: np.random.Generator, size: int, samples: int) -> NDArray[np.uint8]:
    """Return how often each of ``size`` values is in each of ``samples`` samples of that size."""
    drawn = random.integers(size, size=(samples, size)) + size * np.arange(samples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=samples * size)
    return counts.reshape(samples, size).astype(np.uint8)
