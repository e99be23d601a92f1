"""Remove channels of a model until its network costs at most a share of the original one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from segkit.bundle.bundle import Bundle, fill_network, write_bundle
from segkit.bundle.trained_on import joint_trained_on
from segkit.errors import UsageError
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks.pruning import Kept, channel_sets, smaller_plan, smaller_state
from segkit.networks.unet import spatial_axes
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.plans.plan import Plan
from segkit.studies.pruning.candidate import Candidate, at_least, gently
from segkit.studies.pruning.latency import ConvolutionTimes, window_seconds
from segkit.studies.pruning.ranking import at_random, candidates
from segkit.studies.pruning.settings import KINDS
from segkit.studies.pruning.widths import Cost, choose_widths, smallest_cost, uniform_widths

log = logging.getLogger(__name__)

MOST_TRIES = 5
"""Times that channels are chosen until the measured time of the whole network is as asked for."""
AIM = 0.98
"""Factor on the target of a latency: two timings of a network are never the same."""
CLOSE = 0.93
"""Share of the time asked for above which a network is not made wider again."""


@dataclass(frozen=True)
class Goal:
    """Largest cost of a smaller network, compared with the original one."""

    original: Bundle
    kind: str
    """A key of KINDS."""
    precision: str
    """Precision in which a latency is measured."""
    device: torch.device

    @cached_property
    def cost(self) -> Cost:
        """Function from convolutions to what they cost."""
        if self.kind == "latency":
            return ConvolutionTimes(
                self.original.plan, precision=self.precision, device=self.device
            )
        return {"macs": multiply_adds, "parameters": parameters}[self.kind]

    @cached_property
    def whole(self) -> float:
        """Cost of the original network."""
        return self.cost(convolutions(self.original.plan))

    @cached_property
    def layers(self) -> list[Candidate]:
        """All that can be narrowed in the original network; its importance means nothing."""
        sets = channel_sets(self.original.plan)
        return candidates(sets, at_random(sets, seed=0))

    @cached_property
    def least(self) -> float:
        """Cost of the smallest network, as a share of the original's."""
        parts = convolutions(self.original.plan)
        return smallest_cost(parts, self.layers, self.cost) / self.whole

    def check(self, share: float) -> None:
        """Raise a UsageError if no smaller network costs only ``share`` of the original."""
        if self.least > share:
            raise UsageError(
                f"budget.{self.kind}={share:g} cannot be reached: with the fewest channels that"
                f" every layer needs, {KINDS[self.kind]} would be {self.least:.3g} of the"
                " original's. Give a larger share."
            )

    def kept(self, plan: Plan, found: Sequence[Candidate], share: float) -> Kept:
        """Return the channels of ``plan`` to keep, so that it costs ``share`` of the original.

        Raises:
            UsageError: no choice costs so little.
        """
        parts, target = convolutions(plan), share * self.whole
        limited = at_least(found, self.uniform(target))
        finest = self.kind != "latency"  # more widths would have to be timed
        # The widths to choose from depend on those of the plan, which may lack one of the limits.
        for choice in (gently(limited), limited, gently(found)):
            with suppress(ValueError):
                return choose_widths(parts, choice, self.cost, target, finest=finest)
        try:
            return choose_widths(parts, found, self.cost, target, finest=finest)
        except ValueError as error:
            raise UsageError(f"budget.{self.kind} cannot be reached: {error}") from error

    def uniform(self, target: float) -> dict[str, int]:
        """Return the fewest channels that each layer keeps, by name: those of a uniform narrowing.

        Nearly all time and multiply-adds are spent at the full resolution, so a choice by what is
        saved narrows it most, and what it then lacks no training brings back
        (docs/benchmarks/pruning.md). Parameters are elsewhere, so a budget of them has no such
        limit.
        """
        if self.kind == "parameters":
            return {}
        parts = convolutions(self.original.plan)
        return uniform_widths(parts, self.layers, self.cost, target)

    def aim(self, share: float) -> float:
        """Return the target of the choice of channels: for a latency a little less than asked."""
        return max(AIM * share, self.least) if self.kind == "latency" else share

    def limit(self, left: Callable[[], float]) -> None:
        """Set the function that returns the seconds left for timing convolutions."""
        if isinstance(self.cost, ConvolutionTimes):
            self.cost.left = left

    def measured(self, network: nn.Module, plan: Plan, *, seconds: float = math.inf) -> float:
        """Return the time of a window of the whole network, as a share of the original's.

        Args:
            network: the network.
            plan: its plan.
            seconds: time after which the timing ends early (`window_seconds`).
        """
        pairs = [(self.original.networks()[0], self.original.plan), (network, plan)]
        scorers = [
            WindowScorer([one], own, device=self.device, precision=self.precision, tta=False)
            for one, own in pairs
        ]
        before, after = window_seconds(scorers, empty_window(plan), seconds=seconds).seconds
        return after / before


def empty_window(plan: Plan) -> torch.Tensor:
    """Return a window (1, C, X, Y[, Z]) of zeros."""
    return torch.zeros(1, len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))


def smaller_model(
    model: Bundle,
    found: Sequence[Candidate],
    goal: Goal,
    share: float,
    folder: Path,
    *,
    left: Callable[[], float] = lambda: math.inf,
) -> Bundle:
    """Write and return the model without its least important channels, before any training.

    A latency is measured on the whole network, and more or less is removed until that is as asked
    for.

    Args:
        model: the model, whose network may already be smaller than the original one.
        found: what can be narrowed in it.
        goal: the original model, and how its cost is counted.
        share: largest cost, as a share of the cost of the original network.
        folder: folder of the new bundle.
        left: function that returns the seconds that are left for this.

    Raises:
        UsageError: no smaller network costs so little; see `Goal.check`.
    """
    kept = (
        _kept_for_time(model, found, goal, share, folder, left=left)
        if goal.kind == "latency"
        else goal.kept(model.plan, found, goal.aim(share))
    )
    plan = smaller_plan(model.plan, kept)
    smaller = smaller_state(model.plan, model.state(model.folds[0]), kept)
    aimed = f"to {share:.2f} of {KINDS[goal.kind]} of {goal.original.name}"
    reason = f"Pruned: whole groups of channels removed, {aimed} or less."
    plan = replace(plan, reasons={**plan.reasons, "network": reason})
    card = {
        "name": folder.name,
        "dataset": model.card.get("dataset", {}),
        "training": {"pruned": model.hash},
        "metrics": {},
        **joint_trained_on([model.card]),
    }
    return write_bundle(folder, plan, card, {model.folds[0]: smaller}, model.config)


def _kept_for_time(
    model: Bundle,
    found: Sequence[Candidate],
    goal: Goal,
    share: float,
    folder: Path,
    *,
    left: Callable[[], float],
) -> Kept:
    """Return the channels to keep so that a window of the whole network takes ``share`` or less.

    The sum over convolutions, by which channels are chosen, leaves out a part of the time. So the
    target of the sum is corrected, in both directions, until the whole network's time is close, or
    no time is left for another try. Of the choices that are fast enough the slowest is taken, and
    if there is none, the last one.
    """
    state, aim = model.state(model.folds[0]), goal.aim(share)
    fast_enough: list[tuple[float, Kept]] = []
    tried: list[Kept] = []
    while len(tried) < MOST_TRIES and (not tried or left() > 0):
        kept = goal.kept(model.plan, found, aim)
        if kept in tried:
            break
        tried.append(kept)
        plan, smaller = smaller_plan(model.plan, kept), smaller_state(model.plan, state, kept)
        network = fill_network(plan, smaller, folder)
        ratio = goal.measured(network, plan, seconds=left() / 2)
        log.info("a window takes %.2f of the original network's time", ratio)
        if ratio <= share:
            fast_enough.append((ratio, kept))
            if ratio >= CLOSE * share or not kept:
                break
        aim = max(aim * AIM * share / ratio, goal.least)
    slowest = max(fast_enough, key=lambda pair: pair[0], default=None)
    return slowest[1] if slowest else tried[-1]
