"""Losses by name. Each takes scores (B, K, ...) and label indices (B, ...) and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from monai.losses.dice import DiceLoss
from torch import Tensor, nn

from segkit import entry_points
from segkit.entry_points import load_part, offered, package
from segkit.errors import InputError


class PresentDice(nn.Module):
    """Soft Dice loss over the batch, averaged over those labels that the batch has.

    A label that no voxel of the batch has could only push its own probability to zero: counting it lost the smallest
    label of an 8-label task altogether. Without any label in the batch the loss is 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=True, reduction="none", smooth_dr=1e-5
        )

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        per_label: Tensor = self.dice(scores, labels[:, None]).flatten()
        counts = torch.bincount(labels.flatten(), minlength=scores.shape[1])[1:]
        present = (counts > 0).to(per_label.dtype)
        return (per_label * present).sum() / present.sum().clamp_min(1)


class RareLabelCrossEntropy(nn.Module):
    """Cross-entropy in which a label rarer than the batch's median label, m voxels, weighs sqrt(m / n) for its n.

    In a plain mean over voxels a label of a thousandth of the voxels has a thousandth of the say, and of eight labels
    the smallest was lost. Once it has been found, the weight only makes it too large, so the weights fade: the exponent
    falls from 1/2 to 0 over the first half of the training, and the rest is the plain mean. Background and common
    labels weigh 1 throughout (docs/recipe.md has the figures).
    """

    def __init__(self) -> None:
        super().__init__()
        self.progress = 0.0
        """Of the training, 0 to 1; see `tell_progress`."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        exponent = max(0.0, 0.5 - self.progress)
        if exponent == 0:
            return F.cross_entropy(scores, labels)
        counts = torch.bincount(labels.flatten(), minlength=scores.shape[1])
        present = counts[1:][counts[1:] > 0]
        weights = torch.ones_like(scores[0].flatten(1)[:, 0])
        if len(present):
            weights[1:] = (present.median() / counts[1:].clamp_min(1)).pow(exponent).clamp_min(1)
        return F.cross_entropy(scores, labels, weight=weights)


class DiceCrossEntropy(nn.Module):
    """Cross-entropy with a say for rare labels, plus Dice of the present labels, equal weights."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = PresentDice()
        self.cross_entropy = RareLabelCrossEntropy()

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        dice: Tensor = self.dice(scores, labels)
        cross_entropy: Tensor = self.cross_entropy(scores, labels)
        return cross_entropy + dice


class NnUNetLoss(nn.Module):
    """nnU-Net's own: cross-entropy in the mean over voxels, and soft Dice over all labels, absent ones too.

    Dice is of each sample, and of the batch in 2D (nnUNetTrainer, MemoryEfficientSoftDiceLoss). Larger by 1 than
    nnU-Net prints it, which subtracts Dice from nothing.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        probabilities, truth = scores.softmax(1)[:, 1:], F.one_hot(labels, scores.shape[1]).movedim(-1, 1)[:, 1:]
        # Slices of a 2D network are 1 voxel thick.
        summed = [*([0] if min(scores.shape[2:]) == 1 else []), *range(2, scores.ndim)]
        overlap, sizes = (probabilities * truth).sum(summed), (probabilities + truth).sum(summed)
        return F.cross_entropy(scores, labels) + 1 - ((2 * overlap + 1e-5) / (sizes + 1e-5)).mean()


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
        total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
        return torch.as_tensor(total)


def tell_progress(loss: nn.Module, progress: float) -> None:
    """Let those parts of ``loss`` know the progress of the training, 0 to 1, that change with it."""
    for part in loss.modules():
        if isinstance(part, RareLabelCrossEntropy):
            part.progress = progress


def at_resolution(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Labels (B, ...) on a grid of ``shape``: of each cell the voxel at its middle, torch's nearest-exact."""
    for axis, (edge, fewer) in enumerate(zip(labels.shape[1:], shape, strict=True), start=1):
        if fewer != edge:
            middle = (torch.arange(fewer, device=labels.device) + 0.5) * (edge / fewer)
            labels = labels.index_select(axis, middle.int())
    return labels


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "dice_ce": DiceCrossEntropy,
    "dice": PresentDice,
    "ce": nn.CrossEntropyLoss,
    "nnunet": NnUNetLoss,
}


def loss_by_name(name: str) -> nn.Module:
    """A loss of the table, or one that another package offers under the entry point segkit.losses.

    Raises:
        InputError: no such loss, or one that cannot be imported.
    """
    if name in LOSSES:
        return LOSSES[name]()
    found = offered(entry_points.LOSSES, LOSSES)
    if name not in found:
        raise InputError(
            f"trainer.loss={name}",
            expected=f"one of {', '.join([*LOSSES, *found])}",
            found="no installed package that offers it",
            remedy="Install the package that it is from.",
        )
    loss: nn.Module = load_part(found[name])()
    return loss


def loss_needs(name: str) -> dict[str, str]:
    """The package that offers the loss, as name==version, if it is not segkit's own."""
    return {} if name in LOSSES else {"loss": package(offered(entry_points.LOSSES, LOSSES)[name])}
