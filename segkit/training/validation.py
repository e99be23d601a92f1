"""Validation during a training: Dice of whole prepared volumes, predicted by sliding window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from segkit.errors import InputError
from segkit.evaluation.summary import half_width
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import count_windows
from segkit.training.compute.distributed import ALONE, Ranks

OVERLAP = 0.5
"""Overlap of neighboring windows, as a share of the window's edge."""

OnCase = Callable[[PreparedCase, Tensor, Tensor, dict[str, float]], None]
"""Function that receives a case, its predicted and its reference label indices (X, Y, Z), and its
Dice by label."""


def ignore_case(
    _case: PreparedCase, _predicted: Tensor, _reference: Tensor, _dice: dict[str, float]
) -> None:
    """Do nothing with a validated case."""


@dataclass(frozen=True)
class ValidationScore:
    """Dice of a validation: for each label the mean over cases, and the Dice of each case."""

    labels: dict[str, float]
    """Mean Dice by label; a label that no case has is absent."""
    cases: int
    """Number of cases that were predicted."""
    per_case: dict[str, dict[str, float]] = field(default_factory=dict)
    """Dice by case id and label."""

    def per_label(self) -> dict[str, dict[str, float]]:
        """Return the Dice by label and id of the cases that have the label."""
        return {
            name: {case: dice[name] for case, dice in self.per_case.items() if name in dice}
            for name in self.labels
        }

    def half_widths(self) -> dict[str, float]:
        """Return half the 95 % confidence interval of each label's mean.

        A label of fewer than two cases is absent.
        """
        widths = {name: half_width(list(dice.values())) for name, dice in self.per_label().items()}
        return {name: width for name, width in widths.items() if width is not None}

    def case_means(self) -> list[float]:
        """Return the mean Dice over labels of each case that has any label."""
        return [float(np.mean(list(dice.values()))) for dice in self.per_case.values() if dice]

    @property
    def mean_half_width(self) -> float | None:
        """Half the 95 % confidence interval of the mean over cases; None for fewer than two."""
        return half_width(self.case_means())

    @property
    def sd_over_cases(self) -> float | None:
        """Sample standard deviation of the means of the cases; None for fewer than two cases."""
        means = self.case_means()
        return float(np.std(means, ddof=1)) if len(means) > 1 else None

    @property
    def mean(self) -> float | None:
        """Mean Dice over labels; None if no case has any label."""
        return float(np.mean(list(self.labels.values()))) if self.labels else None


@torch.inference_mode()
def validate(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    mode: ComputeMode,
    device: torch.device,
    is_enough: Callable[[int], bool] = lambda _done: False,
    on_case: OnCase = ignore_case,
    ranks: Ranks = ALONE,
) -> ValidationScore:
    """Return the Dice of ``network`` on whole volumes, without test-time augmentation.

    Args:
        network: in evaluation mode, on ``device``.
        cases: prepared cases of all ranks; each rank predicts its share of them.
        plan: the plan of the network.
        mode: precision and memory format.
        device: where to predict.
        is_enough: called after each case with the number of cases done; True skips the rest.
        on_case: called with each case, its label maps and its Dice.
        ranks: the processes of the training, each of which gets the score over all cases.

    Raises:
        InputError: scores that are NaN or infinite.
    """
    means = {name: MeanMetric(nan_strategy="ignore").to(device) for name in plan.labels}
    for mean in means.values():
        mean.update(torch.nan)  # ignored, but lets a rank without any case compute its mean
    per_case: dict[str, dict[str, float]] = {}
    done = 0
    for done, case in enumerate(cases[ranks.number :: ranks.count], start=1):
        scores, reference = predict_case(network, case, plan, mode=mode, device=device)
        per_case[case.id] = case_dice = dice_by_name(scores, reference, plan)
        for name, dice in case_dice.items():
            means[name].update(dice)
        on_case(case, *_label_indices(scores, reference, plan), case_dice)
        if is_enough(done):
            break
    # torchmetrics sums over the ranks here, so every rank must compute every label.
    labels = {name: float(mean.compute()) for name, mean in means.items()}
    labels = {name: dice for name, dice in labels.items() if not math.isnan(dice)}
    return ValidationScore(labels, ranks.total(done), ranks.merged(per_case))


def predict_case(
    network: nn.Module,
    case: PreparedCase,
    plan: Plan,
    *,
    mode: ComputeMode,
    device: torch.device,
    overlap: float = OVERLAP,
) -> tuple[Tensor, Tensor]:
    """Return the scores (K, X, Y, Z) of a case and its target indices (X, Y, Z), on ``device``.

    Args:
        network: in evaluation mode, on ``device``.
        case: the case.
        plan: the plan of the network.
        mode: precision and memory format.
        device: where to predict.
        overlap: overlap of neighboring windows, as a share of the window's edge.

    Raises:
        InputError: scores that are NaN or infinite.
    """
    image = torch.from_numpy(np.array(case.image)).to(device)
    scores = predict_scan(
        network, image, plan, mode=mode, device=device, name=case.id, overlap=overlap
    )
    return scores, torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(device)


def predict_scan(
    network: nn.Module,
    image: Tensor,
    plan: Plan,
    *,
    mode: ComputeMode,
    device: torch.device,
    name: str,
    overlap: float = OVERLAP,
) -> Tensor:
    """Return the scores (K, X, Y, Z) of an image (C, X, Y, Z) on ``device``.

    Arguments and errors are those of `predict_case`; ``name`` is that of the case, for messages.
    """
    with mode.autocast(device):
        windows = Windows(plan.patch, overlap, slice_axis=plan.slice_axis)
        scores = predict_scores(mode.wrap(network), image, windows)
    _check_finite(scores, name)
    return scores


def _check_finite(scores: Tensor, case: str) -> None:
    """Raise InputError if scores are not finite: their maximum would be background everywhere."""
    if not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all():
        raise InputError(
            f"validation of case {case}",
            expected="finite scores of the network",
            found="scores that are NaN or infinite",
            remedy="Train with a lower trainer.learning_rate, or with trainer.precision=float32.",
        )


def window_count(case: PreparedCase, plan: Plan) -> int:
    """Return the number of windows that `validate` predicts for a case."""
    return count_windows(case.labels.shape, plan.patch, OVERLAP)


def dice_by_name(scores: Tensor, reference: Tensor, plan: Plan) -> dict[str, float]:
    """Return `dice_per_label` by name; a label of which neither map has a voxel is absent."""
    values = dice_per_label(scores, reference, plan).tolist()
    dice = zip(plan.labels, values, strict=True)
    return {name: value for name, value in dice if not math.isnan(value)}


def dice_per_label(scores: Tensor, reference: Tensor, plan: Plan) -> Tensor:
    """Return the Dice of each label or region, NaN if neither map has a voxel of it.

    Args:
        scores: network outputs before the softmax or sigmoid, (K, X, Y, Z).
        reference: target indices (X, Y, Z); voxels that nobody has annotated are left out.
        plan: says whether the outputs are labels or overlapping regions.
    """
    annotated = reference <= len(plan.targets)
    # A score above 0 is a probability above 1/2.
    predicted = (scores > 0 if plan.regions else scores.argmax(0))[..., annotated]
    reference = reference[annotated]
    sums = _region_sums if plan.regions else _label_sums
    sizes, overlap = sums(predicted, reference, plan)
    return 2 * overlap / sizes


def _label_indices(scores: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return prediction and reference as the index of one label or region per voxel (X, Y, Z).

    Later regions hide earlier ones. Voxels that nobody has annotated are background in the
    reference.
    """
    if not plan.regions:
        return scores.argmax(0), torch.where(reference <= len(plan.targets), reference, 0)
    table = torch.tensor([[*row, False] for row in plan.membership], device=reference.device)
    return _last_region(scores > 0), _last_region(table[:, reference])


def _last_region(is_inside: Tensor) -> Tensor:
    """Return the number (from 1) of the last region (R, X, Y, Z) that contains each voxel, or 0."""
    numbers = torch.arange(1, len(is_inside) + 1, device=is_inside.device).view(-1, 1, 1, 1)
    return (is_inside * numbers).amax(0)


def _label_sums(predicted: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return for each label the sum of its voxel counts in both maps, and the count in common."""
    in_predicted, in_reference, in_both = (
        torch.bincount(labels, minlength=len(plan.labels) + 1)[1:]
        for labels in (predicted, reference, reference[predicted == reference])
    )
    return in_predicted + in_reference, in_both


def _region_sums(predicted: Tensor, reference: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return the same as `_label_sums` for regions; predicted is (R, N), reference (N,)."""
    truth = torch.tensor(plan.membership, device=predicted.device)[:, reference]
    return predicted.sum(1) + truth.sum(1), (predicted & truth).sum(1)
