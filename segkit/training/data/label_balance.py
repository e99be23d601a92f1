"""Balance between labels: one that few cases have is seen about as often as the others.

An epoch shows every case once, and a patch on foreground takes a label of its case. Where every case has every label
each is then drawn equally often. A label that only some cases have comes short: a share of the patches is moved from
their own case to such a label, in a case drawn from those that have it. Each label is raised to an even share of the
patches on foreground and none is lowered below it, so at most every second patch is moved (at most a third with the
default share of foreground), and no case starves. Where nothing is missing no patch is moved, and nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

TINY = 1e-9
"""Patches of an epoch that are missing by rounding only."""


@dataclass(frozen=True)
class LabelBalance:
    """Which patches are moved, to which label and case."""

    share: float
    """Of all patches that are moved."""
    labels: tuple[int, ...] = ()
    """Label indices that come short."""
    weights: tuple[float, ...] = ()
    """Shares of them in the moved patches, summed up from the first on; the last is 1."""
    cases: tuple[tuple[int, ...], ...] = ()
    """For each of them the numbers of the cases that have it."""

    def draw(self, random: np.random.Generator) -> tuple[int, int] | None:
        """Number of a case and a label of it for a patch that is moved, else None."""
        if random.random() >= self.share:
            return None
        which = int(np.searchsorted(self.weights, random.random(), side="right"))
        cases = self.cases[which]
        return cases[random.integers(len(cases))], self.labels[which]


def balance_labels(labels_of: Sequence[Sequence[int]], foreground: float) -> LabelBalance:
    """The balance for cases that have these labels, where a share ``foreground`` of their patches lies on a label.

    >>> balance_labels([[1, 2], [1, 2]], 0.5).share
    0.0
    >>> balance_labels([[1], [1], [1], [1, 2]], 0.5)  # on 1 lie 3.5 patches of 4, on 2 half a one; even would be 2
    LabelBalance(share=0.15789473684210525, labels=(2,), weights=(1.0,), cases=((3,),))
    """
    having: dict[int, list[int]] = {}
    for number, labels in enumerate(labels_of):
        for label in labels:
            having.setdefault(label, []).append(number)
    even = sum(1 for labels in labels_of if labels) / max(1, len(having))
    expected = {
        label: sum(1 / len(labels_of[number]) for number in cases)
        for label, cases in having.items()
    }
    missing = {label: foreground * (even - expected[label]) for label in sorted(having)}
    missing = {label: patches for label, patches in missing.items() if patches > TINY}
    total = sum(missing.values())
    if not total:
        return LabelBalance(0.0)
    weights = [patches / total for patches in accumulate(missing.values())]
    cases = tuple(tuple(having[label]) for label in missing)
    return LabelBalance(
        total / (len(labels_of) + total), tuple(missing), (*weights[:-1], 1.0), cases
    )
