"""Blank windows are computed once, and nothing else changes."""

from __future__ import annotations

import torch
from torch import Tensor

from segkit.inference.scoring.constant_windows import ConstantWindowCache


class Counting:
    """Scores are the mean of a window, and its negative; counts the windows that it is given."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, windows: Tensor) -> Tensor:
        self.seen += len(windows)
        mean = windows.mean(dim=1, keepdim=True)
        return torch.cat([mean, -mean], dim=1)


def windows(*values: float, varied: tuple[int, ...] = ()) -> Tensor:
    """Return constant windows (B, 2, 4, 5, 1); the last voxel of ``varied`` ones differs."""
    found = torch.tensor(values, dtype=torch.float32)[:, None, None, None, None].repeat(
        1, 2, 4, 5, 1
    )
    for number in varied:
        found[number, 1, 3, 4, 0] += 1
    return found


def check(network: ConstantWindowCache, given: Tensor, *, seen: int) -> None:
    counting = network.network
    assert isinstance(counting, Counting)
    before = counting.seen
    assert torch.equal(network(given), Counting()(given))
    assert counting.seen - before == seen


def test_blank_windows_are_computed_once() -> None:
    network = ConstantWindowCache(Counting())
    check(network, windows(3, 3, varied=(0, 1)), seen=2)
    check(network, windows(7, 3, varied=(1,)), seen=2)
    check(network, windows(7, 7), seen=0)
    check(network, windows(7, 3, 7, varied=(1,)), seen=1)


def test_another_value_is_computed_anew_and_kept() -> None:
    network = ConstantWindowCache(Counting())
    check(network, windows(7), seen=1)
    check(network, windows(8, 7), seen=1)
    check(network, windows(8), seen=0)


def test_a_channel_with_another_value_is_another_window() -> None:
    network = ConstantWindowCache(Counting())
    given = windows(7)
    check(network, given, seen=1)
    given[0, 1] = 8
    check(network, given, seen=1)


def test_one_voxel_counts() -> None:
    network = ConstantWindowCache(Counting())
    check(network, windows(7), seen=1)
    check(network, windows(7, varied=(0,)), seen=1)
