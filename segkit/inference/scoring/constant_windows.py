"""Compute windows of constant values, such as the glass of a slide, once and not each time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_COMPARED_FIRST = 64
"""Number of voxels of a channel that are compared first; most windows already differ there."""


class ConstantWindowCache:
    """Network that keeps its scores of the last constant window.

    In a constant window every channel has one value. The next window of the same values gets the
    same scores. The results are those of the network itself, as long as a window's scores do not
    depend on the other windows of its batch.
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network
        self._values: list[float] | None = None
        self._scores = torch.empty(0)

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the scores (B, K, ...) of windows (B, C, ...)."""
        values = [_constant_values(window) for window in windows]
        computed = [
            index for index, value in enumerate(values) if value is None or value != self._values
        ]
        if not computed:
            return self._scores.expand(len(windows), *self._scores.shape)
        some_cached = len(computed) < len(windows)
        new_scores = scores = self.network(windows[computed] if some_cached else windows)
        if some_cached:
            scores = self._scores.expand(len(windows), *self._scores.shape).clone()
            scores[computed] = new_scores
        constant = [row for row, index in enumerate(computed) if values[index] is not None]
        if constant:
            last = constant[-1]
            self._values, self._scores = values[computed[last]], new_scores[last].clone()
        return scores


def _constant_values(window: Tensor) -> list[float] | None:
    """Return the value of each channel of a window (C, ...); None where a channel has several."""
    voxels = window.flatten(1)
    first, step = voxels[:, :1], max(1, voxels.shape[1] // _COMPARED_FIRST)
    if (voxels[:, ::step] == first).all() and (voxels == first).all():
        return [float(value) for value in first[:, 0]]
    return None
