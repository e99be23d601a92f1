"""Losses by name. Each takes scores (B, K, ...) and target indices (B, ...) and returns a scalar.

A softmax over K labels takes the indices 0 (background) to K - 1. A voxel with a higher index is annotated by nobody:
it adds nothing to any sum, so its scores have a gradient of exactly 0. Without any annotated voxel the loss is 0.
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

Membership = Sequence[Sequence[bool]]
"""Table (R, N) of the target indices (columns) that each region (row) contains; `Plan.membership`."""

SMOOTH = 1e-5
"""Added to numerator and denominator of Dice, as MONAI does."""


class PresentDice(nn.Module):
    """Soft Dice loss over the batch, averaged over those labels that the batch has.

    A label that no voxel of the batch has could only push its own probability to zero: counting it lost the smallest
    label of an 8-label task altogether. Without any label in the batch the loss is 0.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return dice_of_softmax(scores.flatten(2).softmax(1), labels.flatten(1))


def dice_of_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of probabilities (B, K, V) and labels (B, V); as MONAI's where every voxel is annotated."""
    classes = probabilities.shape[1]
    annotated = labels < classes
    own = probabilities.gather(1, labels.clamp_max(classes - 1)[:, None])[:, 0]
    # In float64: this sum runs voxel by voxel. The last place is that of voxels without annotation.
    sums = torch.zeros(classes + 1, dtype=torch.float64, device=own.device)
    overlap = sums.index_add(0, labels.clamp_max(classes).flatten(), own.flatten().double())[
        :classes
    ].float()
    predicted = torch.einsum("bkv,bv->k", probabilities, annotated.to(probabilities.dtype))
    return _mean_of_present(overlap[1:], predicted[1:], _counts(labels, classes)[1:])


def _mean_of_present(overlap: Tensor, predicted: Tensor, reference: Tensor) -> Tensor:
    """1 - Dice from sums per label (K,), in the mean over the labels of which ``reference`` has voxels."""
    losses = 1 - (2 * overlap + SMOOTH) / (predicted + reference + SMOOTH)
    present = (reference > 0).to(losses.dtype)
    return (losses * present).sum() / present.sum().clamp_min(1)


def _counts(labels: Tensor, classes: int) -> Tensor:
    """Voxels of each of ``classes`` labels."""
    if labels.is_cuda:  # where bincount waits for the GPU to say how many labels there are
        return torch.histc(labels.flatten().int(), classes + 1, min=0, max=classes + 1)[
            :classes
        ].long()
    return torch.bincount(labels.flatten(), minlength=classes)[:classes]


class CrossEntropy(nn.Module):
    """Cross-entropy in the mean over the annotated voxels."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy_of(scores.log_softmax(1), labels, scores.new_ones(scores.shape[1]))


def cross_entropy_of(logarithms: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the negative logarithms (B, K, ...) of the labels' probabilities; ``weights`` (K,)."""
    classes = logarithms.shape[1]
    total = F.nll_loss(
        logarithms, labels.clamp_max(classes), weight=weights, ignore_index=classes, reduction="sum"
    )
    return total / (weights * _counts(labels, classes)).sum().clamp_min(1)


class RareLabelCrossEntropy(nn.Module):
    """Cross-entropy in which a label rarer than the batch's median label, m voxels, weighs sqrt(m / n) for its n.

    In a plain mean over voxels a label of a thousandth of the voxels has a thousandth of the say, and of eight labels
    the smallest was lost. Once it has been found, the weight only makes it too large, so the weights fade: the exponent
    falls from 1/2 to 0 over the first half of the training, and the rest is the plain mean. Background and common
    labels weigh 1 throughout (docs/recipe/rare_labels.md has the figures).
    """

    def __init__(self) -> None:
        super().__init__()
        # Of the training, 0 to 1; see `set_progress`. A tensor, so that a recorded step reads it anew.
        self.register_buffer("progress", torch.zeros(()), persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy_of(scores.log_softmax(1), labels, self.weights(scores, labels))

    def weights(self, scores: Tensor, labels: Tensor) -> Tensor:
        """One per label (K,); that of a label without voxels means nothing."""
        weights = scores.new_ones(scores.shape[1])
        counts = _counts(labels, scores.shape[1])[1:]
        exponent = (0.5 - self.get_buffer("progress")).clamp_min(0)
        weights[1:] = (_median_of_present(counts) / counts.clamp_min(1)).pow(exponent).clamp_min(1)
        return weights


def _median_of_present(counts: Tensor) -> Tensor:
    """The median (1,) of those of ``counts`` (N,) that are not 0, of two middle ones the lower; 0 without any."""
    ordered, present = counts.sort().values, (counts > 0).sum()
    place = len(counts) - present + (present - 1).clamp_min(0) // 2
    return ordered.gather(0, place.clamp_max(len(counts) - 1)[None])


class DiceCrossEntropy(nn.Module):
    """Cross-entropy with a say for rare labels, plus Dice of the present labels, equal weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cross_entropy = RareLabelCrossEntropy()

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        scores, labels = scores.flatten(2), labels.flatten(1)
        # One softmax serves both.
        logarithms = scores.log_softmax(1)
        cross_entropy = cross_entropy_of(
            logarithms, labels, self.cross_entropy.weights(scores, labels)
        )
        return cross_entropy + dice_of_softmax(logarithms.exp(), labels)


class RegionLoss(nn.Module):
    """Binary cross-entropy, Dice of the present regions, or their sum, for regions that overlap: one sigmoid each.

    ``membership`` (R, N) says which target indices each region holds (`Plan.membership`); an index of N or more is
    that of a voxel that nobody has annotated.
    """

    def __init__(
        self, membership: Membership, *, dice: bool = True, cross_entropy: bool = True
    ) -> None:
        super().__init__()
        self.terms = [*[_dice_term] * dice, *[_cross_entropy_term] * cross_entropy]
        # One more column, for voxels without annotation.
        table = torch.tensor([[*row, False] for row in membership], dtype=torch.float32)
        self.register_buffer("table", table, persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        table = self.get_buffer("table")
        indices = labels.flatten(1).clamp_max(table.shape[1] - 1)
        truth = table[:, indices].movedim(0, 1)
        annotated = (indices < table.shape[1] - 1).to(scores.dtype)[:, None]
        return torch.stack([term(scores.flatten(2), truth, annotated) for term in self.terms]).sum()


def _dice_term(scores: Tensor, truth: Tensor, annotated: Tensor) -> Tensor:
    """Scores and truth (B, R, V), annotated (B, 1, V)."""
    probabilities = scores.sigmoid() * annotated
    sums = [(probabilities * truth).sum((0, 2)), probabilities.sum((0, 2)), truth.sum((0, 2))]
    return _mean_of_present(sums[0], sums[1], sums[2])


def _cross_entropy_term(scores: Tensor, truth: Tensor, annotated: Tensor) -> Tensor:
    losses = F.binary_cross_entropy_with_logits(scores, truth, reduction="none") * annotated
    return losses.sum() / (annotated.sum() * scores.shape[1]).clamp_min(1)


def region_dice(membership: Membership) -> RegionLoss:
    """Return the Dice part of `RegionLoss` alone."""
    return RegionLoss(membership, cross_entropy=False)


def region_cross_entropy(membership: Membership) -> RegionLoss:
    """Return the binary cross-entropy part of `RegionLoss` alone."""
    return RegionLoss(membership, dice=False)


class NnUNetLoss(nn.Module):
    """nnU-Net's own: cross-entropy in the mean over voxels, and soft Dice over all labels, absent ones too.

    Dice is of each sample, and of the batch in 2D (nnUNetTrainer, MemoryEfficientSoftDiceLoss). Larger by 1 than
    nnU-Net prints it, which subtracts Dice from nothing.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        classes = scores.shape[1]
        annotated = (labels < classes)[:, None]
        probabilities = scores.softmax(1)[:, 1:] * annotated
        truth = F.one_hot(labels.clamp_max(classes - 1), classes).movedim(-1, 1)[:, 1:] * annotated
        # Slices of a 2D network are 1 voxel thick.
        summed = [*([0] if min(scores.shape[2:]) == 1 else []), *range(2, scores.ndim)]
        overlap, sizes = (probabilities * truth).sum(summed), (probabilities + truth).sum(summed)
        cross_entropy = cross_entropy_of(scores.log_softmax(1), labels, scores.new_ones(classes))
        return cross_entropy + 1 - ((2 * overlap + 1e-5) / (sizes + 1e-5)).mean()


class DeepSupervision(nn.Module):
    """A loss over scores at several resolutions, weighted 1, 1/2, 1/4 ... and normalised to sum 1.

    Without ``lowest`` the coarsest of several weighs nothing. The labels are brought to each resolution by nearest
    neighbour; scores of any precision are summed in float32.
    """

    def __init__(self, loss: nn.Module, *, lowest: bool = True) -> None:
        super().__init__()
        self.loss = loss
        self.lowest = lowest

    def forward(self, scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        heads = [scores] if isinstance(scores, Tensor) else list(scores)
        weights = [0.5**level for level in range(len(heads))]
        if len(heads) > 1 and not self.lowest:
            weights[-1] = 0.0  # and not left out: ranks wait for a gradient of every tensor
        losses = [self.loss(head.float(), at_resolution(labels, head.shape[2:])) for head in heads]
        total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(
            weights
        )
        return torch.as_tensor(total)


def set_progress(loss: nn.Module, progress: float) -> None:
    """Let those parts of ``loss`` know the progress of the training, 0 to 1, that change with it."""
    for part in loss.modules():
        if isinstance(part, RareLabelCrossEntropy):
            part.get_buffer("progress").fill_(progress)


def at_resolution(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Labels (B, ...) on a grid of ``shape``: of each cell the voxel at its middle, torch's nearest-exact."""
    for axis, (edge, fewer) in enumerate(zip(labels.shape[1:], shape, strict=True), start=1):
        if fewer != edge:
            middle = (torch.arange(fewer, device=labels.device) + 0.5) * (edge / fewer)
            labels = labels.index_select(axis, middle.int())
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
