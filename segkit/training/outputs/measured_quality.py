"""Features, true Dice and calibration of prepared cases, and what is fitted to them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.labels.voxel_values import decide_by
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.quality.accuracy import estimate_with_accuracy
from segkit.quality.arrangement import Centers
from segkit.quality.arrangement_entry import arrangement_entry
from segkit.quality.entry import expected_dice_entry
from segkit.quality.features import AS_IT_IS, label_features, voxel_volume_of
from segkit.quality.fitting import Example
from segkit.quality.measured_labels import centers_of, measure_labels, values_of_labels
from segkit.quality.soft_overlap import SoftOverlap
from segkit.training.data.degraded_copies import copies
from segkit.training.outputs.temperature import (
    CaseCalibration,
    case_calibration,
    fitted_calibration,
)
from segkit.training.validation import dice_by_name, predict_scan

log = logging.getLogger(__name__)


class ReadyNetwork(Protocol):
    """Network in evaluation mode, as the module of a training or a finished model has it."""

    @property
    def average(self) -> nn.Module:
        """The network, on ``device``."""

    @property
    def mode(self) -> ComputeMode:
        """Precision and memory format."""

    @property
    def device(self) -> torch.device:
        """Where to predict."""


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """Figures of one validation case."""

    examples: tuple[Example, ...]
    """Labels of the case as it is and of its copies."""
    calibration: CaseCalibration | None
    """Sums for temperatures, of the case as it is; None if it has no label."""
    centers: Mapping[str, Centers]
    """Center of each label that was found, in mm, by kind of degradation."""


@torch.inference_mode()
def measure_case(network: ReadyNetwork, case: PreparedCase, plan: Plan) -> MeasuredCase:
    """Measure a case and its copies; a copy of which a network makes no finite scores is skipped.

    Args:
        network: the network.
        case: the case.
        plan: the plan of the network.

    Raises:
        InputError: scores of the case as it is that are NaN or infinite.
    """
    examples: list[Example] = []
    calibration, centers = None, {}
    for kind, image, reference in copies(case, plan):
        try:
            scores = _scores(network, image, plan, f"{case.id} ({kind})")
        except InputError as error:
            if kind == AS_IT_IS:
                raise
            log.debug("%s", error)
            continue
        dice = dice_by_name(scores, reference.to(network.device), plan)
        found, centers[kind] = _examples(scores, dice, plan, case=case.id, kind=kind)
        examples += found
        if kind == AS_IT_IS:
            calibration = case_calibration(scores, reference.numpy(), plan)
    return MeasuredCase(tuple(examples), calibration, centers)


def _scores(network: ReadyNetwork, image: Tensor, plan: Plan, name: str) -> Tensor:
    return predict_scan(
        network.average,
        image.to(network.device),
        plan,
        mode=network.mode,
        device=network.device,
        name=name,
    )


def _examples(
    scores: Tensor, dice: Mapping[str, float], plan: Plan, *, case: str, kind: str
) -> tuple[list[Example], Centers]:
    """Return each label with voxels in the prediction and with a Dice, and the labels' centers."""
    overlap = SoftOverlap(len(plan.labels), regions=bool(plan.regions))
    decide = decide_by(plan.label_values, regions=bool(plan.regions))
    planes = []
    for x in range(scores.shape[1]):  # a copy of all scores of many labels would take gigabytes
        plane = scores[:, x : x + 1].float().cpu().numpy()
        overlap.add(plane)
        planes.append(decide(plane))
    labels = np.concatenate(planes)
    measured = measure_labels(labels, values_of_labels(plan), {})
    features = label_features(
        overlap,
        labels,
        plan,
        voxel_volume=voxel_volume_of(plan),
        ranges=None if plan.ignore is not None else plan.training,
        measured=measured,
    )
    examples = [
        Example(case, kind, name, features[name], dice[name])
        for index, name in enumerate(plan.labels)
        if name in dice and overlap.voxels[index]
    ]
    edges = [edge or 0.0 for edge in plan.spacing]
    return examples, centers_of(measured, edges)


@dataclass(frozen=True)
class FittedQuality:
    """Examples of measured cases, and the entries of bundle.json that are fitted to them."""

    examples: tuple[Example, ...] = ()
    """Labels of all copies of the cases."""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """Entry of bundle.json for the expected Dice; empty without enough cases."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Entry of bundle.json for the temperatures; empty without enough cases."""
    arrangement: Mapping[str, Any] = field(default_factory=dict)
    """Entry of bundle.json for the places of labels; empty without enough cases."""

    @property
    def entries(self) -> dict[str, Any]:
        """All entries of bundle.json."""
        return {**self.expected, **self.calibration, **self.arrangement}


def fitted_quality(
    measured: Mapping[str, MeasuredCase], plan: Plan, groups: Mapping[str, str]
) -> FittedQuality:
    """Return what is fitted to cases that were measured, by id.

    Args:
        measured: the cases.
        plan: the plan of the network.
        groups: group of each case, which are left out in turn (`groups_of_cases`).
    """
    examples = tuple(example for case in measured.values() for example in case.examples)
    fitted = estimate_with_accuracy(examples, groups)
    sums = {name: case.calibration for name, case in measured.items() if case.calibration}
    return FittedQuality(
        examples,
        expected_dice_entry(*fitted) if fitted else {},
        fitted_calibration(list(sums.values()), plan, [groups[name] for name in sums]),
        arrangement_entry({name: case.centers for name, case in measured.items()}, groups, plan),
    )
