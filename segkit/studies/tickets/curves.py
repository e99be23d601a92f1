"""Dice of the study by norm, kind of training and level, and paired comparisons with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from segkit.evaluation.intervals import (
    LOSS_DIFFERENCE,
    SHARE,
    SHARE_DIFFERENCE,
    Interval,
    Values,
    mean_interval,
    paired_difference,
    shared_level,
)
from segkit.report.tables import Cell
from segkit.studies.tickets.levels import TICKET

Rows = Sequence[Mapping[str, Cell]]

DICE = "dice"
"""Dice after training."""
PRUNED = "dice_pruned"
"""Dice of the trained weights of the level before, right after pruning them to this level."""
PRUNED_AT_RANDOM = "dice_pruned_at_random"
"""As PRUNED, with weights chosen at random among those of the level before, as many of each
layer."""
PRUNED_RECALIBRATED = "dice_pruned_recalibrated"
"""As PRUNED, with the stored statistics of the norms measured anew; only where there are any."""
ONE_SHOT = "dice_one_shot"
"""Dice of the dense network's weights, right after pruning them to this level at once."""
ONE_SHOT_RECALIBRATED = "dice_one_shot_recalibrated"
"""As ONE_SHOT, with the stored statistics of the norms measured anew."""

MARGIN = 0.01
"""Loss of Dice up to which a ticket counts as good as the dense network."""


class Arm(NamedTuple):
    """Where Dice was measured: norm, kind of training, level, and what was measured."""

    norm: str
    kind: str
    level: int
    measure: str = DICE


@dataclass(frozen=True)
class Curves:
    """Dice of every arm, by case and seed, and the share of the weights at each level."""

    values: Mapping[Arm, Values]
    """Mean Dice over the labels of a case."""
    remaining: Mapping[int, float]
    """Share of the prunable weights at each level, from 0 to 1."""

    @property
    def levels(self) -> list[int]:
        return sorted(self.remaining)

    def interval(self, arm: Arm) -> Interval | None:
        """Return the mean of an arm with its interval, or None if it was not measured."""
        return mean_interval(self.values[arm], limits=SHARE) if arm in self.values else None

    def difference(self, a: Arm, b: Arm, *, level: float) -> Interval | None:
        """Return the interval of the mean of a - b, or None if one of them was not measured."""
        if a not in self.values or b not in self.values:
            return None
        return paired_difference(
            self.values[a], self.values[b], level=level, limits=SHARE_DIFFERENCE
        )

    def loss(self, arm: Arm, reference: Arm) -> dict[tuple[str, int], float] | None:
        """Return the Dice of ``reference`` minus that of ``arm`` by case and seed, if measured."""
        if arm not in self.values or reference not in self.values:
            return None
        before, after = self.values[reference], self.values[arm]
        return {key: before[key] - after[key] for key in before if key in after}


def read_curves(rows: Rows) -> Curves:
    """Return the curves in the rows of results.csv; rows of failed cells have no value.

    >>> facts = {"norm": "group", "seed": 0, "kind": "ticket", "level": 1, "remaining": 0.8}
    >>> dice = [{"case": "a", "label": name, "value": value} for name, value in
    ...         (("x", 0.5), ("y", 1.0))]
    >>> curves = read_curves([{**facts, "measure": "dice", **row} for row in dice])
    >>> curves.values[Arm("group", "ticket", 1)], curves.remaining
    ({('a', 0): 0.75}, {1: 0.8})
    """
    labels: dict[Arm, dict[tuple[str, int], list[float]]] = {}
    shares: dict[int, list[float]] = {}
    for row in rows:
        if row.get("value") is None or row.get("case") is None:
            continue
        level = int(number(row, "level"))
        arm = Arm(str(row["norm"]), str(row["kind"]), level, str(row["measure"]))
        key = str(row["case"]), int(number(row, "seed"))
        labels.setdefault(arm, {}).setdefault(key, []).append(number(row, "value"))
        shares.setdefault(level, []).append(number(row, "remaining"))
    values = {
        arm: {key: fmean(dice) for key, dice in cases.items()} for arm, cases in labels.items()
    }
    return Curves(values, {level: fmean(found) for level, found in shares.items()})


def number(row: Mapping[str, Cell], column: str) -> float:
    """Return a cell as a number, nan if it is empty."""
    value = row.get(column)
    return math.nan if value is None else float(value)


def spread_left(rows: Rows, norm: str, side: str, change: str) -> dict[int, dict[int, float]]:
    """Return how much of the activations' spread a change leaves, by level and seed.

    It is the geometric mean over layers of the ratio of standard deviations.

    >>> row = {"norm": "group", "seed": 0, "level": 2, "side": "after the norm"}
    >>> rows = [{**row, "change": "pruned", "sd_ratio": ratio} for ratio in (0.5, 0.125, None)]
    >>> spread_left(rows, "group", "after the norm", "pruned")
    {2: {0: 0.25}}

    Args:
        rows: rows of activations.csv.
        norm: norm of the networks.
        side: "before the norm" or "after the norm".
        change: "pruned", "one_shot" or "retrained".
    """
    logs: dict[int, dict[int, list[float]]] = {}
    for row in rows:
        is_asked = (row["norm"], row["side"], row["change"]) == (norm, side, change)
        if is_asked and row["sd_ratio"] is not None:
            of_level = logs.setdefault(int(number(row, "level")), {})
            found = of_level.setdefault(int(number(row, "seed")), [])
            found.append(math.log(number(row, "sd_ratio")))
    return {
        level: {seed: math.exp(fmean(found)) for seed, found in seeds.items()}
        for level, seeds in sorted(logs.items())
    }


def recalibrated(curves: Curves, norm: str, measure: str, stored: str) -> list[Comparison]:
    """Return Dice with statistics measured anew minus Dice with the stored ones, at every level.

    Args:
        curves: the curves.
        norm: norm of the networks; without running statistics there is nothing to compare.
        measure: what is measured with new statistics.
        stored: the same with the stored ones.
    """
    arms = [(Arm(norm, TICKET, n, measure), Arm(norm, TICKET, n, stored)) for n in curves.levels]
    both = [(a, b) for a, b in arms if a in curves.values and b in curves.values]
    share = shared_level(len(both))
    found = [(a, curves.difference(a, b, level=share)) for a, b in both]
    return [
        Comparison(norm, a.level, curves.remaining[a.level], measure, stored, difference)
        for a, difference in found
        if difference
    ]


@dataclass(frozen=True)
class Comparison:
    """Two arms compared at one level: interval of the Dice of ``a`` minus that of ``b``."""

    norm: str
    level: int
    remaining: float
    a: str
    b: str
    difference: Interval


def against_dense(curves: Curves, norm: str) -> list[Comparison]:
    """Return every ticket minus the dense network of the same seeds."""
    found = [
        (level, curves.difference(Arm(norm, TICKET, level), Arm(norm, TICKET, 0), level=share))
        for share in [shared_level(max(1, len(curves.levels) - 1))]
        for level in curves.levels
        if level
    ]
    return [
        Comparison(norm, level, curves.remaining[level], TICKET, "dense", difference)
        for level, difference in found
        if difference
    ]


def against_controls(curves: Curves, norm: str, controls: Sequence[str]) -> list[Comparison]:
    """Return every ticket minus each of its controls, from dense to sparse.

    The intervals hold together (`shared_level`).
    """
    pairs = [
        (Arm(norm, TICKET, level), Arm(norm, kind, level))
        for level in curves.levels
        for kind in controls
        if Arm(norm, kind, level) in curves.values and Arm(norm, TICKET, level) in curves.values
    ]
    share = shared_level(len(pairs))
    found = [(a, b, curves.difference(a, b, level=share)) for a, b in pairs]
    return [
        Comparison(norm, a.level, curves.remaining[a.level], a.kind, b.kind, difference)
        for a, b, difference in found
        if difference
    ]


def losses_between_norms(
    curves: Curves, norms: tuple[str, str], measure: str, *, reference_level: int | None = None
) -> list[Comparison]:
    """Return the loss of Dice of the first norm minus that of the second, at every level.

    Args:
        curves: the curves.
        norms: the two norms.
        measure: what is compared with the trained network it was made from.
        reference_level: level of that network; None is the level before.
    """
    found = {}
    for level in curves.levels:
        a, b = (_loss(curves, norm, level, measure, reference_level) for norm in norms)
        if level and a and b:
            found[level] = a, b
    share = shared_level(len(found))
    differences = {
        level: paired_difference(*pair, level=share, limits=LOSS_DIFFERENCE)
        for level, pair in found.items()
    }
    return [
        Comparison(" and ".join(norms), level, curves.remaining[level], *norms, difference)
        for level, difference in differences.items()
        if difference
    ]


def _loss(
    curves: Curves, norm: str, level: int, measure: str, reference_level: int | None
) -> dict[tuple[str, int], float] | None:
    before = level - 1 if reference_level is None else reference_level
    return curves.loss(Arm(norm, TICKET, level, measure), Arm(norm, TICKET, before))


def smallest_without_loss(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the sparsest ticket down to which no level loses more than MARGIN of Dice.

    A level counts if the whole interval of its difference from the dense network lies above
    -MARGIN; a single case has no interval. Levels below one that does not are not looked at, so
    that a lucky level far down does not count.
    """
    last = None
    for comparison in sorted(comparisons, key=lambda each: each.level):
        if comparison.difference.cases < 2 or comparison.difference.low < -MARGIN:
            break
        last = comparison
    return last
