"""Validation during a training: whole prepared volumes by sliding window, on the network's grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from segkit.errors import InputError
from segkit.evaluation.intervals import half_width
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import count_windows
from segkit.training.compute.distributed import ALONE, Ranks

OVERLAP = 0.5
"""Of neighbouring windows, in parts of their edge."""

Seen = Callable[[PreparedCase, Tensor, Tensor, dict[str, float]], None]
"""Is shown a case, its predicted and its true label indices (X, Y, Z), and its Dice by label."""


def unseen(
    _case: PreparedCase, _predicted: Tensor, _reference: Tensor, _dice: dict[str, float]
) -> None:
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
            name: half_width([dice[name] for dice in self.per_case.values() if name in dice])
            for name in self.labels
        }
        return {name: width for name, width in widths.items() if width is not None}

    @property
    def mean_half_width(self) -> float | None:
        """The same of the cases' means over their labels."""
        return half_width(
            [float(np.mean(list(dice.values()))) for dice in self.per_case.values() if dice]
        )

    @property
    def sd_over_cases(self) -> float | None:
        """Standard deviation of the sample of the cases' means over their labels; None for fewer than two cases."""
        means = [float(np.mean(list(dice.values()))) for dice in self.per_case.values() if dice]
        return float(np.std(means, ddof=1)) if len(means) > 1 else None

    @property
    def mean(self) -> float | None:
        return float(np.mean(list(self.labels.values()))) if self.labels else None


@torch.inference_mode()
def validate(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    mode: ComputeMode,
    device: torch.device,
    enough: Callable[[int], bool] = lambda _done: False,
    seen: Seen = unseen,
    ranks: Ranks = ALONE,
) -> ValidationScore:
    """Dice of ``network`` (in evaluation mode) on whole volumes, without test-time augmentation.

    ``enough`` is asked after every case, with the number of cases done, whether the others may be left out. ``seen``
    is shown every case. The ``ranks`` of a training share the cases, and each gets the score of all.
    """
    means = {name: MeanMetric(nan_strategy="ignore").to(device) for name in plan.labels}
    for mean in means.values():
        mean.update(
            torch.nan
        )  # counts for nothing, and so a rank without any case has a mean to give, too
    per_case: dict[str, dict[str, float]] = {}
    done = 0
    for done, case in enumerate(cases[ranks.number :: ranks.count], start=1):
        image = torch.from_numpy(np.array(case.image)).to(device)
        with mode.autocast(device):
            windows = Windows(plan.patch, OVERLAP, slice_axis=plan.slice_axis)
            scores = predict_scores(mode.wrap(network), image, windows)
        _check_finite(scores, case.id)
        reference = torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(device)
        per_case[case.id] = found = {}
        for name, dice in zip(plan.labels, dice_per_label(scores, reference, plan), strict=True):
            if not dice.isnan():
                means[name].update(dice)
                found[name] = float(dice)
        seen(case, *_shown(scores, reference, plan), found)
        if enough(done):
            break
    # torchmetrics sums over the ranks here, so all of them must come, with every label.
    labels = {name: float(mean.compute()) for name, mean in means.items()}
    labels = {name: dice for name, dice in labels.items() if not math.isnan(dice)}
    return ValidationScore(labels, ranks.total(done), ranks.merged(per_case))


def _check_finite(scores: Tensor, case: str) -> None:
    """Raise an error where scores are NaN or infinite: the highest of them would be background everywhere."""
    if not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all():
        raise InputError(
            f"validation of case {case}",
            expected="finite scores of the network",
            found="scores that are NaN or infinite",
            remedy="Train with a lower trainer.learning_rate, or with trainer.precision=float32.",
        )


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


def _shown(scores: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Prediction and reference as one index of a label or region per voxel (X, Y, Z); later regions hide earlier ones.

    Voxels that nobody has annotated are background in the reference.
    """
    if not plan.regions:
        return scores.argmax(0), torch.where(reference <= len(plan.targets), reference, 0)
    table = torch.tensor([[*row, False] for row in plan.membership], device=reference.device)
    return _last(scores > 0), _last(table[:, reference])


def _last(inside: Tensor) -> Tensor:
    """(R, X, Y, Z) to the number, from 1 on, of the last that is true; 0 where none is."""
    numbers = torch.arange(1, len(inside) + 1, device=inside.device).view(-1, 1, 1, 1)
    return (inside * numbers).amax(0)


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
