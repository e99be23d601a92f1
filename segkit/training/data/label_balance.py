"""Balance between labels: a label that few cases have is sampled about as often as the others.

An epoch samples every case once, and a foreground patch is centered on a label of its case. If
every case has every label, all labels are sampled equally often. A label that only some cases have
is sampled too rarely: a fraction of the patches is therefore moved from their own case to such a
label, in a case drawn from those that have it. Rare labels are raised to an even fraction of the
foreground patches, and no label falls below it. At most half of the patches are moved (at most a
third with the default fraction of foreground), so that every case is still sampled. If no label is
too rare, no patch is moved and no random number is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

TINY = 1e-9
"""Number of missing patches per epoch that is only a rounding error."""


@dataclass(frozen=True)
class LabelBalance:
    """Fraction of the patches that are moved, and the labels and cases that they are moved to."""

    share: float
    """Fraction of all patches that are moved."""
    labels: tuple[int, ...] = ()
    """Indices of the labels that are sampled too rarely."""
    weights: tuple[float, ...] = ()
    """Cumulative fractions of the moved patches for each of ``labels``; the last is 1."""
    cases: tuple[tuple[int, ...], ...] = ()
    """Numbers of the cases that have each of ``labels``."""

    def draw(self, random: np.random.Generator) -> tuple[int, int] | None:
        """Return the number of a case and one of its labels for a moved patch, otherwise None."""
        if random.random() >= self.share:
            return None
        index = int(np.searchsorted(self.weights, random.random(), side="right"))
        cases = self.cases[index]
        return cases[random.integers(len(cases))], self.labels[index]


def balance_labels(labels_of: Sequence[Sequence[int]], foreground: float) -> LabelBalance:
    """Return the balance for cases with these labels.

    Args:
        labels_of: label indices of each case, without background.
        foreground: fraction of the patches that are centered on a label.

    If all four patches of this example are foreground, label 1 has 3.5 of them and label 2 has 0.5,
    where 2 would be even:

    >>> balance_labels([[1, 2], [1, 2]], 0.5).share
    0.0
    >>> balance_labels([[1], [1], [1], [1, 2]], 0.5)
    LabelBalance(share=0.15789473684210525, labels=(2,), weights=(1.0,), cases=((3,),))
    """
    cases_with: dict[int, list[int]] = {}
    for number, labels in enumerate(labels_of):
        for label in labels:
            cases_with.setdefault(label, []).append(number)
    even = sum(1 for labels in labels_of if labels) / max(1, len(cases_with))
    expected = {
        label: sum(1 / len(labels_of[number]) for number in cases)
        for label, cases in cases_with.items()
    }
    missing = {label: foreground * (even - expected[label]) for label in sorted(cases_with)}
    missing = {label: patches for label, patches in missing.items() if patches > TINY}
    total = sum(missing.values())
    if not total:
        return LabelBalance(0.0)
    weights = [patches / total for patches in accumulate(missing.values())]
    cases = tuple(tuple(cases_with[label]) for label in missing)
    return LabelBalance(
        total / (len(labels_of) + total), tuple(missing), (*weights[:-1], 1.0), cases
    )
