"""Compare the scores of an exported network with those of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from segkit.errors import InputError

MOST_DIFFERENT = 1e-3
"""Largest difference of two scores, in standard deviations of the scores, that is accepted.

Networks of the catalogue differ by 2e-5 or less: sums of float32 numbers in another order.
"""


@dataclass(frozen=True)
class Agreement:
    """How far two computations of the same scores agree."""

    difference: float
    """Largest difference of two scores, in standard deviations of the scores; nan if one is nan."""
    other_labels: int
    """Number of voxels with another label."""
    voxels: int
    """Number of voxels that were compared."""

    def __str__(self) -> str:
        return (
            f"scores differ by at most {self.difference:.1g} of their standard deviation, "
            f"and the labels of {self.other_labels} of {self.voxels} voxels differ"
        )

    def check(self, out: Path) -> None:
        """Raise an InputError unless the difference is at most MOST_DIFFERENT."""
        if not self.difference <= MOST_DIFFERENT:
            raise InputError(
                out,
                expected=f"scores that differ from segkit's by at most {MOST_DIFFERENT:g} of their"
                " standard deviation",
                found=str(self),
                remedy="The file was not written. Update onnxruntime, or export the model as .xml"
                " or .segkit.",
            )


def compare(
    exported: Callable[[Tensor], Tensor],
    network: Callable[[Tensor], Tensor],
    windows: Iterable[Tensor],
    *,
    regions: bool,
) -> Agreement:
    """Compute each window with both networks and return how far the scores agree.

    Args:
        exported: maps a window (1, C, X, Y[, Z]) to scores (1, K, X, Y[, Z]).
        network: the same, in PyTorch.
        windows: one window or more.
        regions: True if several outputs may apply to a voxel, each where its score is positive.
    """
    with torch.inference_mode():
        pairs = [(exported(window), network(window)) for window in windows]
    found, expected = (torch.cat(scores) for scores in zip(*pairs, strict=True))
    spread = float(expected.double().std())
    difference = float((found - expected).abs().max())
    labels = [_labels(scores, regions=regions) for scores in (found, expected)]
    others = (labels[0] != labels[1]).any(dim=1)
    return Agreement(difference / (spread or 1.0), int(others.sum()), others.numel())


def _labels(scores: Tensor, *, regions: bool) -> Tensor:
    """Return (N, 1, X, Y[, Z]), or (N, K, X, Y[, Z]) for regions."""
    return scores > 0 if regions else scores.argmax(dim=1, keepdim=True)
