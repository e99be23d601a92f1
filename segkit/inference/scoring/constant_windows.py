"""Windows without any contrast, such as the glass of a slide: computed once, not each time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_LOOKED_AT = 64
"""Voxels of a channel that are compared first: most windows show there that they are not blank."""


class BlankOnce:
    """A network that keeps what it said of the last blank window: one in which every channel has one constant value.

    The next window of the same values gets the same scores. So what comes out is what the network itself says, if that
    does not care in which company its windows come.
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network
        self._value: list[float] | None = None
        self._scores = torch.empty(0)

    def __call__(self, windows: Tensor) -> Tensor:
        """Scores (B, K, ...) of windows (B, C, ...)."""
        values = [_value(window) for window in windows]
        fresh = [
            number for number, value in enumerate(values) if value is None or value != self._value
        ]
        if not fresh:
            return self._scores.expand(len(windows), *self._scores.shape)
        computed = scores = self.network(windows[fresh] if len(fresh) < len(windows) else windows)
        if len(fresh) < len(windows):
            scores = self._scores.expand(len(windows), *self._scores.shape).clone()
            scores[fresh] = computed
        blank = [place for place, number in enumerate(fresh) if values[number] is not None]
        if blank:
            self._value, self._scores = values[fresh[blank[-1]]], computed[blank[-1]].clone()
        return scores


def _value(window: Tensor) -> list[float] | None:
    """The one value of each channel of a window (C, ...); None where a channel has several."""
    voxels = window.flatten(1)
    first, step = voxels[:, :1], max(1, voxels.shape[1] // _LOOKED_AT)
    if (voxels[:, ::step] == first).all() and (voxels == first).all():
        return [float(value) for value in first[:, 0]]
    return None
