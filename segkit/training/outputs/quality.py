"""Fit of expected Dice and temperatures to validation cases, after the last step.

The expected Dice is fitted to degraded copies of them as well. The network has seen neither. The
time is limited, and the examples of the expected Dice are kept in a file of the run, so that a
cross-validation can fit to the cases of all folds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.errors import InputError
from segkit.labels.voxel_values import decide_by
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.quality.accuracy import MIN_CASES, estimate_with_accuracy, groups_of_cases
from segkit.quality.entry import EXPECTED_KEY, expected_dice_entry
from segkit.quality.example_file import EXAMPLES, write_examples
from segkit.quality.features import label_features, voxel_volume_of
from segkit.quality.fitting import AS_IT_IS, Example
from segkit.quality.soft_overlap import SoftOverlap
from segkit.training.compute.distributed import Ranks
from segkit.training.data.degraded_copies import DEGRADATIONS, copies
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.temperature import (
    CaseCalibration,
    case_calibration,
    fitted_calibration,
)
from segkit.training.signals import StopRequest
from segkit.training.time_budget import SHARE_OF_QUALITY, VALIDATING, Budget
from segkit.training.validation import dice_by_name, predict_scan

log = logging.getLogger(__name__)

MAX_CASES = 20
"""Largest number of cases that each process of a training measures."""
SECONDS, SHARE = 5.0, 0.05
"""Time without a limit of minutes: so many seconds, or this share of the training if it is more.

A study has dozens of trainings of a minute each, which must not take twice as long for it.
"""


class QualityFit:
    """Measures features and true Dice of validation cases, as time allows, and fits to them."""

    def __init__(
        self,
        plan: Plan,
        cases: Sequence[PreparedCase],
        *,
        budget: Budget,
        stop: StopRequest,
        ranks: Ranks,
    ) -> None:
        """Prepare to measure ``cases``.

        Args:
            plan: the plan of the network.
            cases: validation cases of all ranks.
            budget: the time that there is.
            stop: a signal to this process ends the measurement after the current case.
            ranks: processes that share the cases.
        """
        self.plan, self.budget, self.stop, self.ranks = plan, budget, stop, ranks
        self.own_cases = spread_cases(cases[ranks.number :: ranks.count])
        self.patients: Mapping[str, str] = {}
        """Patient of each case; a case without one is a patient of its own."""
        self.examples: list[Example] = []
        """Labels of all copies of the cases of all ranks that were measured."""
        self._entry: dict[str, Any] = {}

    def measure(self, module: SegmentationModule) -> None:
        """Measure cases of this rank until time is out, gather those of all ranks, and fit.

        All ranks call this together.
        """
        measured: dict[str, MeasuredCase] = {}
        deadline = self.budget.timing.elapsed() + seconds_to_measure(self.budget)
        with self.budget.timing.part(VALIDATING):
            for case in self.own_cases:
                needed = relative_time() * self.budget.case_seconds()
                if self.stop.received or self.budget.timing.elapsed() + needed > deadline:
                    break
                measured[case.id] = measure_case(module, case, self.plan)
        merged = self.ranks.merged(measured)
        self.examples = [example for case in merged.values() for example in case.examples]
        expected = fitted_entry(self.examples, groups_of_cases(merged, self.patients))
        sums = {name: case.calibration for name, case in merged.items() if case.calibration}
        groups = groups_of_cases(sums, self.patients)
        calibration = fitted_calibration(list(sums.values()), self.plan, list(groups.values()))
        self._entry = {**expected, **calibration}
        _log(expected, len(merged))

    def entry(self) -> dict[str, Any]:
        """Return the entries of bundle.json (`segkit.quality`); empty without enough cases."""
        return self._entry

    def write(self, folder: Path) -> None:
        """Write the examples into the folder of the run; without any, remove those of a past end.

        They are of other weights if time was added to the training.
        """
        if self.examples:
            write_examples(folder, self.examples)
        else:
            (folder / EXAMPLES).unlink(missing_ok=True)


def spread_cases(cases: Sequence[PreparedCase]) -> list[PreparedCase]:
    """Return at most `MAX_CASES` cases, spread evenly, in an order in which any first ones are.

    >>> spread_cases(list("abcde"))
    ['a', 'e', 'c', 'b', 'd']
    """
    chosen = np.linspace(0, len(cases) - 1, min(MAX_CASES, len(cases))).round().astype(int).tolist()
    order: list[int] = []
    while chosen:  # always the one that is farthest from those taken so far
        far = max(chosen, key=lambda one: min((abs(one - other) for other in order), default=0))
        order.append(far)
        chosen.remove(far)
    return [cases[index] for index in order]


def seconds_to_measure(budget: Budget) -> float:
    """Return the seconds that measuring may take from now on."""
    if budget.trainer.max_minutes is None:
        return max(SECONDS, SHARE * budget.timing.elapsed())
    return max(0.0, min(budget.left(), budget.seconds * SHARE_OF_QUALITY))


def relative_time() -> float:
    """Return the time to measure a case with its copies, in times of a validation case."""
    return 1.0 + len(DEGRADATIONS)


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """Figures of one validation case."""

    examples: tuple[Example, ...]
    """Labels of the case as it is and of its copies."""
    calibration: CaseCalibration | None
    """Sums for temperatures, of the case as it is; None if it has no label."""


@torch.inference_mode()
def measure_case(module: SegmentationModule, case: PreparedCase, plan: Plan) -> MeasuredCase:
    """Measure a case and its copies; a copy of which a network makes no finite scores is skipped.

    Args:
        module: has the network as ``average``, in evaluation mode, with its device and precision.
        case: the case.
        plan: the plan of the network.

    Raises:
        InputError: scores of the case as it is that are NaN or infinite.
    """
    examples: list[Example] = []
    calibration = None
    for kind, image, reference in copies(case, plan):
        try:
            scores = _scores(module, image, plan, f"{case.id} ({kind})")
        except InputError as error:
            if kind == AS_IT_IS:
                raise
            log.debug("%s", error)
            continue
        dice = dice_by_name(scores, reference.to(module.device), plan)
        examples += _examples(scores, dice, plan, case=case.id, kind=kind)
        if kind == AS_IT_IS:
            calibration = case_calibration(scores, reference.numpy(), plan)
    return MeasuredCase(tuple(examples), calibration)


def _scores(module: SegmentationModule, image: Tensor, plan: Plan, name: str) -> Tensor:
    return predict_scan(
        module.average,
        image.to(module.device),
        plan,
        mode=module.mode,
        device=module.device,
        name=name,
    )


def _examples(
    scores: Tensor, dice: Mapping[str, float], plan: Plan, *, case: str, kind: str
) -> Iterator[Example]:
    """Yield each label with voxels in the prediction, and with a Dice."""
    overlap = SoftOverlap(len(plan.labels), regions=bool(plan.regions))
    decide = decide_by(plan.label_values, regions=bool(plan.regions))
    planes = []
    for x in range(scores.shape[1]):  # a copy of all scores of many labels would take gigabytes
        plane = scores[:, x : x + 1].float().cpu().numpy()
        overlap.add(plane)
        planes.append(decide(plane))
    labels = np.concatenate(planes)
    features = label_features(
        overlap,
        labels,
        plan,
        voxel_volume=voxel_volume_of(plan),
        ranges=None if plan.ignore is not None else plan.training,
    )
    for index, name in enumerate(plan.labels):
        if name in dice and overlap.voxels[index]:
            yield Example(case, kind, name, features[name], dice[name])


def fitted_entry(
    examples: Sequence[Example], groups: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the entry of bundle.json for examples; empty for too few cases."""
    fitted = estimate_with_accuracy(examples, groups)
    return expected_dice_entry(*fitted) if fitted else {}


def _log(entry: Mapping[str, Any], cases: int) -> None:
    if not entry:
        log.info(
            "no expected Dice for new scans: it takes %d validation cases of two patients or more "
            "in which the model finds a label, and there was time for %d; a longer training "
            "measures more",
            MIN_CASES,
            cases,
        )
        return
    accuracy = entry[EXPECTED_KEY]["accuracy"]
    log.info(
        "expected Dice of new scans, fitted to %d validation cases with degraded copies: mean "
        "absolute error %.3f on cases as they are, %.3f with the copies",
        accuracy["cases"],
        accuracy["as_they_are"]["error"],
        accuracy["with_degraded"]["error"],
    )
