"""Channels of a layer that can become fewer: the widths to choose from, and what each loses.

This module does not import torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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


def at_least(candidates: Sequence[Candidate], widths: Mapping[str, int]) -> list[Candidate]:
    """Return the candidates with at least ``widths`` channels, given by name, as far as they go."""
    return [replace(part, narrowest=widths.get(part.name, 0)) for part in candidates]


def gently(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with at most MOST_AT_ONCE of their channels to remove."""
    half = {part.name: math.ceil((1 - MOST_AT_ONCE) * part.channels) for part in candidates}
    return at_least(
        candidates, {part.name: max(half[part.name], part.narrowest) for part in candidates}
    )


def _between(values: Mapping[int, float], width: int) -> float:
    """Return the value at ``width``, interpolated between the nearest ones.

    >>> _between({4: 3.0, 8: 1.0}, 6)
    2.0
    """
    below, above = max(w for w in values if w <= width), min(w for w in values if w >= width)
    share = (width - below) / (above - below) if above > below else 0.0
    return (1 - share) * values[below] + share * values[above]


def _largest(values: Sequence[float], count: int) -> list[int]:
    """Return the numbers of the ``count`` largest values, ascending; of equal ones the first."""
    order = sorted(range(len(values)), key=lambda number: (-values[number], number))
    return sorted(order[:count])
