"""Decide by out-of-fold predictions whether to keep only the largest component of a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np

from segkit.evaluation.label_maps import read_pair
from segkit.evaluation.overlap import dice
from segkit.evaluation.pairs import Pair
from segkit.labels.postprocessing import keep_largest

LEAST_GAIN = 0.0005
"""Smallest gain in mean Dice that counts; less is chance."""
THREADS = 2
"""Number of cases measured in parallel; each needs two label maps and a few masks in memory."""


@dataclass(frozen=True)
class Gain:
    """Mean Dice of a label over the cases that have it.

    ``before`` is the Dice as predicted, ``after`` the Dice of the largest component only.
    """

    before: float
    after: float

    @property
    def adopted(self) -> bool:
        """True if the rule is adopted: Dice improves by at least what a table shows.

        Removed voxels become background, so that no other label can lose.
        """
        return self.after - self.before >= LEAST_GAIN


def largest_component_gains(pairs: Sequence[Pair], labels: Mapping[str, int]) -> dict[str, Gain]:
    """Return the gain of each label that occurs in a prediction or a reference.

    Dice counts the annotated voxels, as in an evaluation. The largest component is that of the
    whole prediction, because the rule will be applied to new scans without annotations.

    Args:
        pairs: predictions with their references.
        labels: label values by name.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        gains_by_case = list(pool.map(partial(_case_gains, labels=labels), pairs))
    gains: dict[str, Gain] = {}
    for name in labels:
        cases = [case_gains[name] for case_gains in gains_by_case if name in case_gains]
        if cases:
            before, after = (
                fmean(gain.before for gain in cases),
                fmean(gain.after for gain in cases),
            )
            gains[name] = Gain(before, after)
    return gains


def _case_gains(pair: Pair, labels: Mapping[str, int]) -> dict[str, Gain]:
    """Return the gains of the labels that the case has."""
    prediction, reference, _ = read_pair(pair, labels, only_named=True)
    predicted = prediction.array[0]
    annotated = np.ones(predicted.shape, bool)
    if pair.ignore is not None:
        annotated = reference.array[0] != pair.ignore
    gains = {}
    for name, value in labels.items():
        truth = reference.array[0] == value
        before = dice(annotated & (predicted == value), truth)
        if not np.isnan(before):
            largest = keep_largest(predicted, value) == value
            after = dice(annotated & largest, truth)
            gains[name] = Gain(before, after)
    return gains
