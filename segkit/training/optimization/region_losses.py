"""Losses for regions that overlap, such as a tumor and its core: one sigmoid per region."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Membership = Sequence[Sequence[bool]]
"""Table (R, N) of the target indices (columns) that each region (row) contains."""

SMOOTH = 1e-5
"""Number added to numerator and denominator of Dice, as in MONAI and nnU-Net."""


class RegionLoss(nn.Module):
    """Binary cross-entropy, Dice of the present regions, or their sum, for overlapping regions.

    Scores are (B, R, X, Y[, Z]), one sigmoid per region. ``membership`` (R, N) says which target
    indices each region contains; a voxel with the index N or more is not annotated.
    """

    def __init__(
        self, membership: Membership, *, dice: bool = True, cross_entropy: bool = True
    ) -> None:
        super().__init__()
        self.terms = []
        if dice:
            self.terms.append(_dice_term)
        if cross_entropy:
            self.terms.append(_cross_entropy_term)
        # The last column is for voxels that are not annotated.
        table = torch.tensor([[*row, False] for row in membership], dtype=torch.float32)
        self.register_buffer("table", table, persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores (B, R, X, Y[, Z]) and target indices (B, X, Y[, Z])."""
        table = self.get_buffer("table")
        indices = labels.flatten(1).clamp_max(table.shape[1] - 1)
        truth = table[:, indices].movedim(0, 1)
        annotated = (indices < table.shape[1] - 1).to(scores.dtype)[:, None]
        return torch.stack([term(scores.flatten(2), truth, annotated) for term in self.terms]).sum()


def _dice_term(scores: Tensor, truth: Tensor, annotated: Tensor) -> Tensor:
    """Return the Dice loss; scores and truth are (B, R, V), annotated is (B, 1, V)."""
    probabilities = scores.sigmoid() * annotated
    overlap = (probabilities * truth).sum((0, 2))
    return mean_of_present(overlap, probabilities.sum((0, 2)), truth.sum((0, 2)))


def _cross_entropy_term(scores: Tensor, truth: Tensor, annotated: Tensor) -> Tensor:
    """Return the binary cross-entropy; scores and truth are (B, R, V), annotated is (B, 1, V)."""
    losses = F.binary_cross_entropy_with_logits(scores, truth, reduction="none") * annotated
    return losses.sum() / (annotated.sum() * scores.shape[1]).clamp_min(1)


def region_dice(membership: Membership) -> RegionLoss:
    """Return the Dice part of `RegionLoss` alone."""
    return RegionLoss(membership, cross_entropy=False)


def region_cross_entropy(membership: Membership) -> RegionLoss:
    """Return the binary cross-entropy part of `RegionLoss` alone."""
    return RegionLoss(membership, dice=False)


def mean_of_present(overlap: Tensor, predicted: Tensor, reference: Tensor) -> Tensor:
    """Return the mean of 1 - Dice over the labels of ``reference``; arguments are sums (K,)."""
    losses = 1 - (2 * overlap + SMOOTH) / (predicted + reference + SMOOTH)
    present = (reference > 0).to(losses.dtype)
    return (losses * present).sum() / present.sum().clamp_min(1)
