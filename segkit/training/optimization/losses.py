"""Losses: each takes scores (B, K, X, Y[, Z]) and target indices (B, X, Y[, Z]), returns a scalar.

A softmax over K labels has the target indices 0 (background) to K - 1. A voxel with a higher index
is not annotated: it adds nothing to any sum, so the gradient of its scores is exactly 0. Without
any annotated voxel the loss is 0. `segkit.config.loss_catalogue` lists the losses by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.loss_catalogue import LOSSES, losses_of_regions, plugin_losses
from segkit.config.schema import TrainerConfig
from segkit.errors import InputError, UsageError
from segkit.plans.plan import Plan
from segkit.plugins import load_part, package
from segkit.training.optimization.region_losses import SMOOTH, Membership, mean_of_present


class PresentDice(nn.Module):
    """Soft Dice loss over the batch, averaged over the labels that are present in the batch.

    A label without a voxel in the batch could only push its own probability to zero: counting it
    made an 8-label task lose its smallest label altogether. Without any label the loss is 0.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]) and labels (B, X, Y[, Z])."""
        return dice_of_softmax(scores.flatten(2).softmax(1), labels.flatten(1))


def dice_of_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the Dice loss of probabilities (B, K, V) and labels (B, V), without background.

    It equals MONAI's where every voxel is annotated and every label is present.

    >>> dice = dice_of_softmax(torch.full((1, 2, 2), 0.5), torch.tensor([[0, 1]]))
    >>> round(dice.item(), 4)  # overlap 0.5, sizes 1 and 1
    0.5
    """
    classes = probabilities.shape[1]
    annotated = labels < classes
    of_label = probabilities.gather(1, labels.clamp_max(classes - 1)[:, None])[:, 0]
    # In float64, because this sum adds voxel by voxel. The last element takes unannotated voxels.
    sums = torch.zeros(classes + 1, dtype=torch.float64, device=of_label.device)
    overlap = sums.index_add(0, labels.clamp_max(classes).flatten(), of_label.flatten().double())[
        :classes
    ].float()
    predicted = torch.einsum("bkv,bv->k", probabilities, annotated.to(probabilities.dtype))
    return mean_of_present(overlap[1:], predicted[1:], _counts(labels, classes)[1:])


def _counts(labels: Tensor, classes: int) -> Tensor:
    """Return the number of voxels (classes,) of each label."""
    if labels.is_cuda:  # bincount would wait for the GPU to know the largest label
        return torch.histc(labels.flatten().int(), classes + 1, min=0, max=classes + 1)[
            :classes
        ].long()
    return torch.bincount(labels.flatten(), minlength=classes)[:classes]


class CrossEntropy(nn.Module):
    """Mean cross-entropy over the annotated voxels."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]) and labels (B, X, Y[, Z])."""
        return cross_entropy_of(scores.log_softmax(1), labels, scores.new_ones(scores.shape[1]))


def cross_entropy_of(log_probabilities: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the negative log probabilities of the labels.

    Args:
        log_probabilities: (B, K, ...).
        labels: (B, ...); K or more is not annotated.
        weights: (K,), one per label.
    """
    classes = log_probabilities.shape[1]
    total = F.nll_loss(
        log_probabilities,
        labels.clamp_max(classes),
        weight=weights,
        ignore_index=classes,
        reduction="sum",
    )
    return total / (weights * _counts(labels, classes)).sum().clamp_min(1)


class RareLabelCrossEntropy(nn.Module):
    """Cross-entropy with more weight for rare labels, fading during the first half of a training.

    A label of n voxels weighs (m / n) ** exponent, at least 1, where m is the number of voxels of
    the batch's median label. In a plain mean over voxels a label with a thousandth of the voxels
    has a thousandth of the influence, and the smallest of eight labels was lost. Once a label is
    found, the weight only makes it too large, so the exponent falls from 1/2 to 0 over the first
    half of the training. Background and common labels always weigh 1.

    docs/recipe/rare_labels.md has measurements.
    """

    def __init__(self) -> None:
        super().__init__()
        # Progress of the training, 0 to 1 (`set_progress`); a tensor, which a CUDA graph can read.
        self.register_buffer("progress", torch.zeros(()), persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]) and labels (B, X, Y[, Z])."""
        return cross_entropy_of(scores.log_softmax(1), labels, self.weights(scores, labels))

    def weights(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the weight of each label (K,); it has no meaning for a label without voxels."""
        weights = scores.new_ones(scores.shape[1])
        counts = _counts(labels, scores.shape[1])[1:]
        exponent = (0.5 - self.get_buffer("progress")).clamp_min(0)
        weights[1:] = (_median_of_present(counts) / counts.clamp_min(1)).pow(exponent).clamp_min(1)
        return weights


def _median_of_present(counts: Tensor) -> Tensor:
    """Return the lower median (1,) of the counts (N,) that are not 0; 0 if all are."""
    ordered, present = counts.sort().values, (counts > 0).sum()
    index = len(counts) - present + (present - 1).clamp_min(0) // 2
    return ordered.gather(0, index.clamp_max(len(counts) - 1)[None])


class DiceCrossEntropy(nn.Module):
    """Sum of `PresentDice` and `RareLabelCrossEntropy`."""

    def __init__(self) -> None:
        super().__init__()
        self.cross_entropy = RareLabelCrossEntropy()

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]) and labels (B, X, Y[, Z])."""
        scores, labels = scores.flatten(2), labels.flatten(1)
        log_probabilities = scores.log_softmax(1)  # one softmax for both terms
        weights = self.cross_entropy.weights(scores, labels)
        cross_entropy = cross_entropy_of(log_probabilities, labels, weights)
        return cross_entropy + dice_of_softmax(log_probabilities.exp(), labels)


class NnUNetLoss(nn.Module):
    """Loss of nnU-Net: mean cross-entropy over voxels, plus soft Dice loss over all labels.

    Labels that are absent count as well. Dice is computed per sample, in 2D over the batch
    (nnUNetTrainer, MemoryEfficientSoftDiceLoss). The value is larger by 1 than the one that nnU-Net
    prints, which is the negative Dice instead of 1 - Dice.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]) and labels (B, X, Y[, Z])."""
        classes = scores.shape[1]
        annotated = (labels < classes)[:, None]
        probabilities = scores.softmax(1)[:, 1:] * annotated
        truth = F.one_hot(labels.clamp_max(classes - 1), classes).movedim(-1, 1)[:, 1:] * annotated
        axes = list(range(2, scores.ndim))
        if min(scores.shape[2:]) == 1:  # slices of a 2D network: their batch is summed as well
            axes = [0, *axes]
        overlap, sizes = (probabilities * truth).sum(axes), (probabilities + truth).sum(axes)
        cross_entropy = cross_entropy_of(scores.log_softmax(1), labels, scores.new_ones(classes))
        return cross_entropy + 1 - ((2 * overlap + SMOOTH) / (sizes + SMOOTH)).mean()


class DeepSupervision(nn.Module):
    """Weighted mean of a loss over scores at several resolutions, with weights 1, 1/2, 1/4 ...

    If ``lowest`` is false, the coarsest of several heads has the weight 0. Labels are resampled to
    each resolution by nearest neighbor; scores of any precision are converted to float32.
    """

    def __init__(self, loss: nn.Module, *, lowest: bool = True) -> None:
        super().__init__()
        self.loss = loss
        self.lowest = lowest

    def forward(self, scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of scores (B, K, X, Y[, Z]), or a list of them, full resolution first."""
        heads = [scores] if isinstance(scores, Tensor) else list(scores)
        weights = [0.5**level for level in range(len(heads))]
        if len(heads) > 1 and not self.lowest:
            weights[-1] = 0.0  # not left out: distributed training waits for every gradient
        losses = [self.loss(head.float(), at_resolution(labels, head.shape[2:])) for head in heads]
        total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(
            weights
        )
        return torch.as_tensor(total)


def set_progress(loss: nn.Module, progress: float) -> None:
    """Set the progress of the training (0 to 1) in the parts of ``loss`` that depend on it."""
    for part in loss.modules():
        if isinstance(part, RareLabelCrossEntropy):
            part.get_buffer("progress").fill_(progress)


def at_resolution(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Resample labels (B, X, Y[, Z]) to a coarser grid of ``shape`` (torch's nearest-exact).

    >>> at_resolution(torch.tensor([[0, 1, 2, 3]]), [2])
    tensor([[1, 3]])
    """
    for axis, (size, coarse) in enumerate(zip(labels.shape[1:], shape, strict=True), start=1):
        if coarse != size:
            centers = (torch.arange(coarse, device=labels.device) + 0.5) * (size / coarse)
            labels = labels.index_select(axis, centers.int())
    return labels


def build_loss(trainer: TrainerConfig, plan: Plan) -> DeepSupervision:
    """Build the loss that ``trainer`` names, for labels or for regions, with deep supervision.

    Raises:
        InputError: no such loss, or one that cannot be imported.
    """
    name = trainer.loss
    loss = region_loss_by_name(name, plan.membership) if plan.regions else loss_by_name(name)
    return DeepSupervision(loss, lowest=trainer.lowest_head)


def loss_by_name(name: str) -> nn.Module:
    """Build a loss of the catalogue, or one of another package (entry point segkit.losses).

    Raises:
        InputError: no such loss, or one that cannot be imported.
    """
    if name in LOSSES:
        return _built(LOSSES[name].builder)
    entry_points = plugin_losses()
    if name not in entry_points:
        raise InputError(
            f"trainer.loss={name}",
            expected=f"one of {', '.join([*LOSSES, *entry_points])}",
            found="no installed package that offers it",
            remedy="Install the package that it is from.",
        )
    loss: nn.Module = load_part(entry_points[name])()
    return loss


def region_loss_by_name(name: str, membership: Membership) -> nn.Module:
    """Build a loss of the catalogue for overlapping regions; ``membership`` as in `RegionLoss`.

    Raises:
        UsageError: the loss cannot be used with regions.
    """
    builder = LOSSES[name].region_builder if name in LOSSES else None
    if builder is None:
        raise UsageError(
            f"trainer.loss={name} cannot train regions: give trainer.loss=, one of"
            f" {', '.join(losses_of_regions())}"
        )
    return _built(builder, membership)


def _built(builder: str, *arguments: Any) -> nn.Module:
    loss: nn.Module = resolve_name(builder)(*arguments)
    return loss


def loss_needs(name: str) -> dict[str, str]:
    """Return the package that offers the loss as name==version; empty for segkit's own losses."""
    return {} if name in LOSSES else {"loss": package(plugin_losses()[name])}
