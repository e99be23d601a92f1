"""Choose how many channels every layer keeps, so that the network costs at most a given amount.

Greedy: each turn narrows the layer that loses least importance per cost saved. This module does not
import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segkit.plans.convolutions import Convolution, resized
from segkit.studies.pruning.candidate import Candidate

Cost = Callable[[Sequence[Convolution]], float]
"""Function from all convolutions of a network to what it costs, such as multiply-adds."""


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
