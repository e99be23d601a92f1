"""Settings of a pruning: the budget, as ``budget.KEY=VALUE`` words. No torch is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from segkit.config.checks import PLANNED
from segkit.config.keys import known_keys
from segkit.config.study_words import number, setting, whole_number
from segkit.errors import UsageError

SHARE = number(0.01, 0.99)
KINDS = {
    "latency": "the time of one window on this machine",
    "macs": "the multiply-adds of one window",
    "parameters": "the number of weights",
}
"""Costs that a budget can limit, in words."""
LAST_ROUND = 0.75
"""Part of all training that the last round gets, if there are several: the network that is kept
needs a whole training, those before it only as much as the next ranking needs."""


def decided_keys() -> set[str]:
    """Return the overrides of a training that a pruning takes from the model or makes itself."""
    planned = {key for key in known_keys() if key.startswith(PLANNED)}
    return planned | {"weights", "mask", "rewind", "trainer.rewind_step", "preset"}


@dataclass(frozen=True)
class Budget:
    """Share of what the model costs now that the smaller one may cost."""

    latency: float | None = setting(None, SHARE)
    """Share of the time of one window, measured on this machine."""
    macs: float | None = setting(None, SHARE)
    """Share of the multiply-adds of one window."""
    parameters: float | None = setting(None, SHARE)
    """Share of the number of weights."""
    rounds: int = setting(3, whole_number(1, most=20))
    """Number of rounds: in each one, some channels are removed and the rest is trained."""

    @property
    def kind(self) -> str:
        """Cost that is limited: a key of KINDS.

        Raises:
            UsageError: not exactly one share is given.
        """
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(f"budget.{kind}" for kind in given) or "none"
            raise UsageError(
                f"give one budget, not {found}: budget.latency=0.5 for half the time of a window,"
                " or budget.macs= or budget.parameters="
            )
        return given[0]

    @property
    def share(self) -> float:
        """The share that the smaller model may cost."""
        return float(getattr(self, self.kind))

    def share_after(self, number: int) -> float:
        """Return the share after round ``number``, counted from 1: every round takes as much.

        >>> Budget(macs=0.25, rounds=2).share_after(1)
        0.5
        """
        return self.share if number == self.rounds else float(self.share ** (number / self.rounds))

    def training_share(self, number: int) -> float:
        """Return the part of all training that round ``number`` gets: the last one LAST_ROUND.

        >>> [Budget(macs=0.5).training_share(number) for number in (1, 2, 3)]
        [0.125, 0.125, 0.75]
        """
        if self.rounds == 1:
            return 1.0
        return LAST_ROUND if number == self.rounds else (1 - LAST_ROUND) / (self.rounds - 1)
