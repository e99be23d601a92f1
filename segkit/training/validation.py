"""Validation during a training: whole prepared volumes by sliding window, on the network's grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from segkit.plans import Plan
from segkit.preprocessing.store import PreparedCase
from segkit.sliding_window import count_windows, predict_scores
from segkit.training.calibrate import Mode
from segkit.training.ranks import ALONE, Ranks

OVERLAP = 0.5
"""Of neighbouring windows, in parts of their edge."""


@dataclass(frozen=True)
class ValidationScore:
    """Mean Dice over cases of each label, and the mean over labels; a label that no case has is absent.

    ``mean`` is None where no case has any.
    """

    labels: dict[str, float]
    cases: int

    @property
    def mean(self) -> float | None:
        return float(np.mean(list(self.labels.values()))) if self.labels else None


@torch.inference_mode()
def validate(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    mode: Mode,
    device: torch.device,
    enough: Callable[[int], bool] = lambda _done: False,
    ranks: Ranks = ALONE,
) -> ValidationScore:
    """Dice of ``network`` (in evaluation mode) on whole volumes, without test-time augmentation.

    ``enough`` is asked after every case, with the number of cases done, whether the others may be left out. The
    ``ranks`` of a training share the cases, and each gets the score of all.
    """
    means = {name: MeanMetric(nan_strategy="ignore").to(device) for name in plan.labels}
    for mean in means.values():
        mean.update(torch.nan)  # counts for nothing, and so a rank without any case has a mean to give, too
    done = 0
    for done, case in enumerate(cases[ranks.number :: ranks.count], start=1):
        image = torch.from_numpy(np.array(case.image)).to(device)
        with mode.autocast(device):
            scores = predict_scores(
                mode.wrap(network), image, window=plan.patch, overlap=OVERLAP, slice_axis=plan.slice_axis
            )
        reference = torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(device)
        for name, dice in zip(plan.labels, dice_per_label(scores, reference, plan), strict=True):
            if not dice.isnan():
                means[name].update(dice)
        if enough(done):
            break
    # torchmetrics sums over the ranks here, so all of them must come, with every label.
    found = {name: float(mean.compute()) for name, mean in means.items()}
    return ValidationScore({name: dice for name, dice in found.items() if not math.isnan(dice)}, ranks.total(done))


def windows_of(case: PreparedCase, plan: Plan) -> int:
    """How many windows `validate` puts through the network for a case."""
    return count_windows(case.labels.shape, plan.patch, OVERLAP)


def dice_per_label(scores: Tensor, reference: Tensor, plan: Plan) -> Tensor:
    """Dice (labels or regions,) of scores (K, X, Y, Z) and target indices (X, Y, Z); NaN where neither has a voxel.

    Voxels that nobody has annotated are left out.
    """
    annotated = reference <= len(plan.targets)
    # A score above 0 is a probability above 1/2.
    predicted = (scores > 0 if plan.regions else scores.argmax(0))[..., annotated]
    reference = reference[annotated]
    sizes, overlap = (_region_sums if plan.regions else _label_sums)(predicted, reference, plan)
    return 2 * overlap / sizes


def _label_sums(predicted: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Voxels of each label in prediction and reference together, and in both at once."""
    ours, theirs, both = (
        torch.bincount(labels, minlength=len(plan.labels) + 1)[1:]
        for labels in (predicted, reference, reference[predicted == reference])
    )
    return ours + theirs, both


def _region_sums(predicted: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """The same for regions, predicted (R, N)."""
    truth = torch.tensor(plan.membership, device=predicted.device)[:, reference]
    return predicted.sum(1) + truth.sum(1), (predicted & truth).sum(1)
