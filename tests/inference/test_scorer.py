from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from segkit.bundle import Bundle
from segkit.inference.scorer import WindowScorer

SIDES = {"labels": {"left": 1, "right": 2}, "mirror_axes": (0, 1)}


class TellsSides(torch.nn.Module):
    """Two labels by place: what is bright is label 1 in the first half along X and label 2 in the second.

    A mirrored window is answered with mirrored places and changed names, as by a network that has learned both.
    """

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        half = windows.shape[2] // 2
        first, second = torch.zeros_like(windows), torch.zeros_like(windows)
        first[:, :, :half], second[:, :, half:] = windows[:, :, :half], windows[:, :, half:]
        return torch.cat([torch.full_like(windows, 0.5), first, second], dim=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_mirrored_scores_change_sides_back(dims: int, make_bundle: Callable[..., Bundle]) -> None:
    sides = make_bundle(dims, **SIDES).plan
    windows = torch.from_numpy(np.random.Generator(np.random.Philox(0)).random((2, 1, *[8] * dims), np.float32))

    def scores(tta: bool, swaps: tuple[tuple[str, str], ...]) -> torch.Tensor:
        plan = dataclasses.replace(sides, mirror_swaps=swaps)
        scorer = WindowScorer([TellsSides()], plan, device=torch.device("cpu"), precision="float32", tta=tta)
        return scorer(windows)

    plain = scores(tta=False, swaps=(("left", "right"),))
    assert torch.allclose(scores(tta=True, swaps=(("left", "right"),)), plain)
    assert torch.equal(scores(tta=True, swaps=(("left", "right"),)).argmax(1), plain.argmax(1))
    assert not torch.allclose(scores(tta=True, swaps=()), plain)
