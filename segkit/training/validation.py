"""Validation during a training: whole prepared volumes by sliding window, on the network's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from segkit.evaluation.confidence import half_width
from segkit.plans import Plan
from segkit.preprocessing.store import PreparedCase
from segkit.sliding_window import count_windows, predict_scores
from segkit.training.calibrate import Mode

OVERLAP = 0.5
"""Of neighbouring windows, in parts of their edge."""

Seen = Callable[[PreparedCase, Tensor, Tensor, dict[str, float]], None]
"""Is shown a case, its predicted and its true label indices (X, Y, Z), and its Dice by label."""


def unseen(_case: PreparedCase, _predicted: Tensor, _reference: Tensor, _dice: dict[str, float]) -> None:
    """Looks at nothing."""


@dataclass(frozen=True)
class ValidationScore:
    """Mean Dice over cases of each label, and the mean over labels; a label that no case has is absent.

    ``mean`` is None where no case has any.
    """

    labels: dict[str, float]
    cases: int
    per_case: dict[str, dict[str, float]] = field(default_factory=dict)
    """Dice by case id and label."""

    def half_widths(self) -> dict[str, float]:
        """Half the 95 % confidence interval of each label's mean; a label of fewer than two cases is absent."""
        widths = {
            name: half_width([dice[name] for dice in self.per_case.values() if name in dice]) for name in self.labels
        }
        return {name: width for name, width in widths.items() if width is not None}

    @property
    def mean_half_width(self) -> float | None:
        """The same of the cases' means over their labels."""
        return half_width([float(np.mean(list(dice.values()))) for dice in self.per_case.values() if dice])

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
    seen: Seen = unseen,
) -> ValidationScore:
    """Dice of ``network`` (in evaluation mode) on whole volumes, without test-time augmentation.

    ``enough`` is asked after every case, with the number of cases done, whether the others may be left out. ``seen``
    is shown every case.
    """
    means = {name: MeanMetric().to(device) for name in plan.labels}
    per_case: dict[str, dict[str, float]] = {}
    done = 0
    for done, case in enumerate(cases, start=1):
        image = torch.from_numpy(np.array(case.image)).to(device)
        with mode.autocast(device):
            scores = predict_scores(
                mode.wrap(network), image, window=plan.patch, overlap=OVERLAP, slice_axis=plan.slice_axis
            )
        predicted, reference = scores.argmax(0), torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(device)
        per_case[case.id] = found = {}
        for index, name in enumerate(plan.labels, start=1):
            dice = _dice(predicted == index, reference == index)
            if dice is not None:
                means[name].update(dice)
                found[name] = float(dice)
        seen(case, predicted, reference, found)
        if enough(done):
            break
    labels = {name: float(mean.compute()) for name, mean in means.items() if mean.update_count}
    return ValidationScore(labels, done, per_case)


def windows_of(case: PreparedCase, plan: Plan) -> int:
    """How many windows `validate` puts through the network for a case."""
    return count_windows(case.labels.shape, plan.patch, OVERLAP)


def _dice(predicted: Tensor, reference: Tensor) -> Tensor | None:
    """None where neither has a voxel."""
    total = predicted.sum() + reference.sum()
    if total == 0:
        return None
    return 2 * (predicted & reference).sum() / total
