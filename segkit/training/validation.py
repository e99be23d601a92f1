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
        predicted, reference = scores.argmax(0), torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(device)
        for index, name in enumerate(plan.labels, start=1):
            dice = _dice(predicted == index, reference == index)
            if dice is not None:
                means[name].update(dice)
        if enough(done):
            break
    # torchmetrics sums over the ranks here, so all of them must come, with every label.
    found = {name: float(mean.compute()) for name, mean in means.items()}
    return ValidationScore({name: dice for name, dice in found.items() if not math.isnan(dice)}, ranks.total(done))


def windows_of(case: PreparedCase, plan: Plan) -> int:
    """How many windows `validate` puts through the network for a case."""
    return count_windows(case.labels.shape, plan.patch, OVERLAP)


def _dice(predicted: Tensor, reference: Tensor) -> Tensor | None:
    """None where neither has a voxel."""
    total = predicted.sum() + reference.sum()
    if total == 0:
        return None
    return 2 * (predicted & reference).sum() / total
