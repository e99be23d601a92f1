from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from segkit.networks.precision import (
    ComputeMode,
    bfloat16_time_ratio,
    network_to_memory_format,
    to_memory_format,
)

CPU = torch.device("cpu")


def test_layouts_keep_values() -> None:
    network = nn.Conv3d(2, 4, 3)
    before = network.weight.detach().clone()
    assert network_to_memory_format(network, "channels_last").weight.is_contiguous(
        memory_format=torch.channels_last_3d
    )
    assert torch.equal(network.weight, before)
    assert to_memory_format(torch.ones(1, 2, 3, 4), "channels_last").is_contiguous(
        memory_format=torch.channels_last
    )


def test_autocast_computes_in_bfloat16() -> None:
    with ComputeMode("bfloat16", "contiguous").autocast(CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with ComputeMode("float32", "contiguous").autocast(CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


class SlowInBfloat16(nn.Module):
    """Layer that sleeps for 20 ms, and for 60 ms in bfloat16."""

    def forward(self, image: Tensor) -> Tensor:
        time.sleep(0.06 if torch.is_autocast_enabled("cpu") else 0.02)
        return image


def test_a_share_is_the_time_in_bfloat16_to_that_in_float32() -> None:
    assert 2 < bfloat16_time_ratio(SlowInBfloat16(), torch.zeros(1)) < 4
