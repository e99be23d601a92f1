"""Choose how many channels every layer keeps, so that the network costs at most a given amount.

Greedy: each turn narrows the layer that loses least importance per cost saved. This module does not
import torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from segkit.plans.convolutions import Convolution, resized

Cost = Callable[[Sequence[Convolution]], float]
"""Function from all convolutions of a network to what it costs, such as multiply-adds."""

FINE, COARSE = 4, 16
"""Smallest and largest step from one width to the next one.

Kernels for 16 channels at a time take as long for 17 as for 32 channels; below that, layers of 4, 8
and 12 channels were faster than those of 16 (docs/pruning.md).
"""
MOST_AT_ONCE = 0.5
"""Share of the channels of a layer that one round removes, if that is enough for its budget."""
STEPS = 8
"""Number of widths that a layer is tried with, as far as FINE and COARSE allow."""


@dataclass(frozen=True)
class Candidate:
    """Channels that can become fewer, and what would be lost."""

    name: str
    unit: int
    """Number of neighboring channels that are removed together."""
    least: int
    """Smallest number of channels to keep."""
    importance: tuple[float, ...]
    """Importance of each group of ``unit`` channels, in the order of the channels."""
    beside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Other channels of which the same number is kept, one by one: importance of each by name."""
    losses: Mapping[int, float] = field(default_factory=dict)
    """Measured increase of the loss for each smaller number of channels; empty: not measured."""
    narrowest: int = 0
    """Smallest number of channels that may be chosen now; `least` may be chosen later."""

    @property
    def channels(self) -> int:
        """Number of channels now."""
        return self.unit * len(self.importance)

    @property
    def widths(self) -> list[int]:
        """Smaller numbers of channels to choose from, ascending.

        >>> Candidate("a", 2, 4, (1.0,) * 8).widths
        [4, 8, 12]
        """
        step = math.lcm(self.unit, min(COARSE, max(FINE, FINE * (self.channels // FINE // STEPS))))
        steps = {width for width in range(step, self.channels, step) if width > self.least}
        fitting = {self.least, *steps} - {self.channels}
        return sorted(width for width in fitting if width >= self.narrowest)

    def share(self, factor: float) -> int:
        """Return the smallest number of channels to choose that is ``factor`` of all or more.

        >>> Candidate("a", 2, 4, (1.0,) * 8).share(0.3)
        8
        """
        return min(
            width for width in [*self.widths, self.channels] if width >= factor * self.channels
        )

    def wider(self, width: int, *, finest: bool) -> int:
        """Return the next larger number of channels to choose from, at most all of them.

        >>> Candidate("a", 2, 4, (1.0,) * 8).wider(8, finest=False)
        12
        >>> Candidate("a", 2, 4, (1.0,) * 8).wider(8, finest=True)
        10
        >>> Candidate("a", 2, 4, (1.0,) * 32).wider(32, finest=True)  # not 40
        36

        Args:
            width: a number of channels.
            finest: whether steps are smaller than those between `widths`: single groups below
                COARSE channels, from there on FINE.
        """
        if finest:
            step = self.unit if width < COARSE else math.lcm(self.unit, FINE)
            return min(width + step, self.channels)
        return min((other for other in self.widths if other > width), default=self.channels)

    def kept(self, width: int) -> dict[str, list[int]]:
        """Return the most important ``width`` channels, and those beside them, by name.

        >>> Candidate("a", 2, 2, (0.5, 0.1), {"up": (1.0, 3.0, 2.0, 0.0)}).kept(2)
        {'a': [0, 1], 'up': [1, 2]}
        """
        groups = _largest(self.importance, width // self.unit)
        own = [group * self.unit + number for group in groups for number in range(self.unit)]
        return {
            self.name: own,
            **{name: _largest(values, width) for name, values in self.beside.items()},
        }

    def lost(self, width: int) -> float:
        """Return what is lost with ``width`` channels: as measured, or the importance of the rest.

        >>> Candidate("a", 2, 2, (0.5, 0.1), {"up": (1.0, 3.0, 2.0, 0.0)}).lost(2)
        1.1
        """
        if width == self.channels:
            return 0.0
        if self.losses:
            return _between({**self.losses, self.channels: 0.0}, width)
        own = sorted(self.importance, reverse=True)[width // self.unit :]
        others = (sorted(values, reverse=True)[width:] for values in self.beside.values())
        return math.fsum([*own, *itertools.chain.from_iterable(others)])

    def sizes(self, width: int) -> dict[str, int]:
        """Return ``width`` for these channels and those beside them, by name."""
        return dict.fromkeys([self.name, *self.beside], width)


def smallest_cost(
    parts: Sequence[Convolution], candidates: Sequence[Candidate], cost: Cost
) -> float:
    """Return the cost of the network in which every layer has as few channels as possible."""
    widths: dict[str, int] = {}
    for part in candidates:
        widths |= part.sizes(min([part.channels, *part.widths]))
    return cost(resized(parts, widths))


def uniform_widths(
    parts: Sequence[Convolution], candidates: Sequence[Candidate], cost: Cost, target: float
) -> dict[str, int]:
    """Return the channels of the network whose layers are narrower by one factor, by name.

    The factor is the largest one, in steps of 1/64, with which the network costs at most
    ``target``. Numbers of channels are rounded up to those that can be chosen: a layer of few
    channels would lose most by being rounded down. Empty if even the smallest network costs more.

    Args:
        parts: all convolutions of the network.
        candidates: channels that can become fewer.
        cost: what the network costs.
        target: the largest cost.
    """
    found: dict[str, int] = {}
    low, high = 1, 64
    while low <= high:
        middle = (low + high) // 2
        widths = {part.name: part.share(middle / 64) for part in candidates}
        if cost(_with_widths(parts, candidates, widths)) <= target:
            found, low = widths, middle + 1
        else:
            high = middle - 1
    return found


def at_least(candidates: Sequence[Candidate], widths: Mapping[str, int]) -> list[Candidate]:
    """Return the candidates with at least ``widths`` channels, given by name, as far as they go."""
    return [replace(part, narrowest=widths.get(part.name, 0)) for part in candidates]


def gently(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with at most MOST_AT_ONCE of their channels to remove."""
    half = {part.name: math.ceil((1 - MOST_AT_ONCE) * part.channels) for part in candidates}
    return at_least(
        candidates, {part.name: max(half[part.name], part.narrowest) for part in candidates}
    )


def choose_widths(
    parts: Sequence[Convolution],
    candidates: Sequence[Candidate],
    cost: Cost,
    target: float,
    *,
    finest: bool = False,
) -> dict[str, list[int]]:
    """Return the channels to keep, by name, so that the network costs at most ``target``.

    The last layer to be narrowed may become narrower than the target asks for, above all in a small
    network. So layers then become wider again, in small steps, as long as the target allows.

    Args:
        parts: all convolutions of the network.
        candidates: channels that can become fewer.
        cost: what the network costs.
        target: the largest cost.
        finest: whether these steps are the smallest ones (`Candidate.wider`).

    Raises:
        ValueError: no choice costs so little.
    """
    chosen = {part.name: part.channels for part in candidates}
    while (now := cost(_with_widths(parts, candidates, chosen))) > target:
        moves = list(_moves(parts, candidates, chosen, cost, now))
        # Two layers may save time only together: then the move that loses least, whatever it saves.
        moves = [move for move in moves if move.saved > 0] or moves
        if not moves:
            raise ValueError(f"the smallest network costs {now:.4g}, more than {target:.4g}")
        best = min(moves, key=_Move.order)
        chosen[best.name] = best.width
    _widen(parts, candidates, chosen, cost, target, finest=finest)
    kept: dict[str, list[int]] = {}
    for part in candidates:
        if chosen[part.name] < part.channels:
            kept |= part.kept(chosen[part.name])
    return kept


def _widen(
    parts: Sequence[Convolution],
    candidates: Sequence[Candidate],
    chosen: dict[str, int],
    cost: Cost,
    target: float,
    *,
    finest: bool,
) -> None:
    """Make ``chosen`` widths larger, in place, while the network costs at most ``target``.

    Each turn widens the layer that regains most; one that regains nothing stays.
    """
    while True:
        steps = []
        for part in candidates:
            width = part.wider(chosen[part.name], finest=finest)
            regained = part.lost(chosen[part.name]) - part.lost(width)
            if regained > 0:
                wide = _with_widths(parts, candidates, {**chosen, part.name: width})
                if cost(wide) <= target:
                    steps.append((regained, part.name, width))
        if not steps:
            return
        _, name, width = max(steps)
        chosen[name] = width


def _between(values: Mapping[int, float], width: int) -> float:
    """Return the value at ``width``, interpolated between the nearest ones.

    >>> _between({4: 3.0, 8: 1.0}, 6)
    2.0
    """
    below, above = max(w for w in values if w <= width), min(w for w in values if w >= width)
    share = (width - below) / (above - below) if above > below else 0.0
    return (1 - share) * values[below] + share * values[above]


@dataclass(frozen=True)
class _Move:
    """Choice of a smaller width for one layer."""

    name: str
    width: int
    lost: float
    saved: float

    def order(self) -> tuple[float, str, int]:
        """Return what decides: the loss per cost saved, or the loss alone if nothing is saved.

        Of equal ones the smallest step is taken, because losses of several layers add up.
        """
        return self.lost / self.saved if self.saved > 0 else self.lost, self.name, -self.width


def _moves(
    parts: Sequence[Convolution],
    candidates: Sequence[Candidate],
    chosen: Mapping[str, int],
    cost: Cost,
    now: float,
) -> Iterator[_Move]:
    """Yield every choice of a smaller width for one layer."""
    for part in candidates:
        before = chosen[part.name]
        for width in part.widths:
            if width < before:
                narrow = _with_widths(parts, candidates, {**chosen, part.name: width})
                lost = part.lost(width) - part.lost(before)
                yield _Move(part.name, width, lost, now - cost(narrow))


def _with_widths(
    parts: Sequence[Convolution], candidates: Sequence[Candidate], chosen: Mapping[str, int]
) -> list[Convolution]:
    widths: dict[str, int] = {}
    for part in candidates:
        widths |= part.sizes(chosen[part.name])
    return resized(parts, widths)


def _largest(values: Sequence[float], count: int) -> list[int]:
    """Return the numbers of the ``count`` largest values, ascending; of equal ones the first."""
    order = sorted(range(len(values)), key=lambda number: (-values[number], number))
    return sorted(order[:count])
