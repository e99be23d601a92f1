"""Dice of a trained network at smaller overlaps of windows than that of validation.

It is measured on cases of the last validation, which already has their Dice at the usual overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from segkit.bundle.overlap_dice import USUAL_OVERLAP, choose_overlap, overlap_entry
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.windows import count_windows
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.after_validation import AfterValidation
from segkit.training.validation import OVERLAP, dice_by_name, predict_case

log = logging.getLogger(__name__)

SMALLER = (0.25, 0.0)
"""Overlaps that are measured besides that of validation."""
MAX_CASES = 20
"""Largest number of cases that each process of a training measures."""

Dice = dict[str, float]
"""Dice of a case by label."""


@dataclass(frozen=True)
class CasesToMeasure:
    """Cases on which overlaps differ, and the time that it takes to predict them."""

    cases: Sequence[PreparedCase]
    """Cases whose windows differ, at most `MAX_CASES`, spread evenly over those that were given."""
    same_windows: int
    """Number of given cases that have the same windows at every overlap."""
    mean_windows: float
    """Mean number of windows of the given cases at the usual overlap."""
    plan: Plan

    @classmethod
    def among(cls, cases: Sequence[PreparedCase], plan: Plan) -> CasesToMeasure:
        """Choose among prepared ``cases`` of a network with this plan."""
        differing = [case for case in cases if _other_windows(case, plan)]
        spread = np.linspace(0, len(differing) - 1, min(MAX_CASES, len(differing))).round()
        chosen = [differing[int(index)] for index in spread]
        windows = [_windows(case, plan, OVERLAP) for case in cases]
        mean_windows = float(np.mean(windows)) if windows else 1.0
        return cls(chosen, len(cases) - len(differing), mean_windows, plan)

    def relative_time(self, case: PreparedCase) -> float:
        """Return the time to predict a case at all smaller overlaps.

        It is relative to the mean time of a given case at the usual overlap.
        """
        return sum(_other_windows(case, self.plan)) / self.mean_windows

    @property
    def relative_times(self) -> float:
        """Sum of `relative_time` over all cases."""
        return sum(self.relative_time(case) for case in self.cases)


def _other_windows(case: PreparedCase, plan: Plan) -> set[int]:
    """Return the numbers of windows at smaller overlaps that differ from the usual one.

    Windows are spread evenly, so equal numbers are equal windows.
    """
    counts = {_windows(case, plan, overlap) for overlap in SMALLER}
    return counts - {_windows(case, plan, OVERLAP)}


def _windows(case: PreparedCase, plan: Plan, overlap: float) -> int:
    return count_windows(case.labels.shape, plan.patch, overlap)


@torch.inference_mode()
def dice_at_overlaps(
    network: nn.Module,
    case: PreparedCase,
    plan: Plan,
    usual: Dice,
    *,
    mode: ComputeMode,
    device: torch.device,
) -> dict[float, Dice]:
    """Return the Dice of a case by overlap and label; equal windows are predicted only once.

    Args:
        network: in evaluation mode, on ``device``.
        case: the case.
        plan: the plan of the network.
        usual: Dice by label at the usual overlap, as validation measured it.
        mode: precision and memory format of the validation.
        device: where to predict.
    """
    by_windows, dice = {_windows(case, plan, OVERLAP): usual}, {OVERLAP: usual}
    for overlap in SMALLER:
        count = _windows(case, plan, overlap)
        if count not in by_windows:
            scores, reference = predict_case(
                network, case, plan, mode=mode, device=device, overlap=overlap
            )
            by_windows[count] = dice_by_name(scores, reference, plan)
        dice[overlap] = by_windows[count]
    return dice


class OverlapDice(AfterValidation):
    """Measures the Dice at smaller overlaps after the last validation, as time allows."""

    per_case: Mapping[str, Mapping[float, Dice]] = MappingProxyType({})
    """Dice by case, overlap and label, of the cases of all ranks."""
    same_windows = 0
    """Number of cases of all ranks that have the same windows at every overlap."""
    to_measure = 0
    """Number of cases of all ranks to measure, if there is time."""

    def measure(self, module: SegmentationModule, usual: dict[str, Dice]) -> None:
        """Measure cases of this rank until time is out, and gather those of all ranks.

        All ranks call this together.

        Args:
            module: the trained network.
            usual: Dice by case and label of a validation of it just before.
        """

        def dice(case: PreparedCase) -> dict[float, Dice]:
            return dice_at_overlaps(
                module.average,
                case,
                self.plan,
                usual[case.id],
                mode=module.mode,
                device=module.device,
            )

        validated = [case for case in self.own_cases if case.id in usual]
        to_measure = CasesToMeasure.among(validated, self.plan)
        self.per_case = self.measure_each(
            to_measure.cases,
            dice,
            relative_time=to_measure.relative_time,
            left=self.budget.left,
        )
        self.same_windows = self.ranks.total(to_measure.same_windows)
        self.to_measure = self.ranks.total(len(to_measure.cases))
        self._log_choice()

    def entry(self) -> dict[str, Any]:
        """Return the entry for a bundle's card (`segkit.bundle.overlap_dice`).

        It is empty if nothing is known: there was no time for any of the cases whose windows
        differ, or there were no cases.
        """
        if not self.per_case and (self.to_measure or not self.same_windows):
            return {}
        overlaps = (OVERLAP, *SMALLER) if self.per_case else ()
        dice = {overlap: self._mean(overlap) for overlap in overlaps}
        return overlap_entry(dice, len(self.per_case), self.same_windows)

    def _log_choice(self) -> None:
        """Log which overlap `segkit predict --overlap auto` will take, and why."""
        entry = self.entry()
        if entry:
            log.info("predict --overlap auto will take %g: %s", *choose_overlap([entry]))
        else:
            log.info(
                "there was no time to measure the Dice at smaller overlaps of windows: "
                "predict --overlap auto will take %g",
                USUAL_OVERLAP,
            )

    def _mean(self, overlap: float) -> Dice:
        """Return the mean Dice of each label over the cases that have a value of it."""
        values: dict[str, list[float]] = {}
        for dice in self.per_case.values():
            for label, value in dice[overlap].items():
                values.setdefault(label, []).append(value)
        in_order = [label for label in self.plan.labels if label in values]
        return {label: float(np.mean(values[label])) for label in in_order}
