"""Whether to keep the largest connected piece of a label only, asked of predictions that saw no training."""

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
"""Of mean Dice; less is chance."""
THREADS = 2
"""Each holds two label maps and a few masks in memory."""


@dataclass(frozen=True)
class Gain:
    """Mean Dice of a label over the cases that have it, as predicted and with its largest piece only."""

    before: float
    after: float

    @property
    def adopted(self) -> bool:
        """Only where it improves by what a table shows. What is removed becomes background: no other label can lose."""
        return self.after - self.before >= LEAST_GAIN


def largest_component_gains(pairs: Sequence[Pair], labels: Mapping[str, int]) -> dict[str, Gain]:
    """Return the gain of every label (name -> value) that occurs in a prediction or a reference.

    Dice is that of the annotated voxels, as in an evaluation. Which component is the largest is asked of the whole
    prediction, as the rule will be applied to new scans, of which nothing is annotated.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(partial(_case_gains, labels=labels), pairs))
    gains = {}
    for name in labels:
        of_cases = [case[name] for case in found if name in case]
        if of_cases:
            gains[name] = Gain(
                fmean(gain.before for gain in of_cases), fmean(gain.after for gain in of_cases)
            )
    return gains


def _case_gains(pair: Pair, labels: Mapping[str, int]) -> dict[str, Gain]:
    """Return the gains of the labels that the case has."""
    prediction, reference, _ = read_pair(pair, labels, only_named=True)
    predicted = prediction.array[0]
    annotated = (
        np.ones(predicted.shape, bool) if pair.ignore is None else reference.array[0] != pair.ignore
    )
    gains = {}
    for name, value in labels.items():
        truth = reference.array[0] == value
        before = dice(annotated & (predicted == value), truth, reference.spacing)
        if not np.isnan(before):
            largest = keep_largest(predicted, value) == value
            after = dice(annotated & largest, truth, reference.spacing)
            gains[name] = Gain(before, after)
    return gains
