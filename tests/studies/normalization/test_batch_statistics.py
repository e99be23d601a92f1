"""Norms that compute as in training, while their running statistics stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segkit.studies.normalization.batch_statistics import (
    depends_on_the_batch,
    in_company,
    training_statistics,
)


def test_batch_norm_uses_the_batch_and_keeps_its_statistics() -> None:
    norm = nn.BatchNorm2d(1)
    network = nn.Sequential(norm).eval()
    x = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)

    def values() -> list[float]:
        return [round(float(value), 4) for value in network(x).flatten()]

    with torch.inference_mode():
        assert values() == [1.0, 3.0]  # running mean 0, variance 1
        with training_statistics(network):
            assert values() == [-1.0, 1.0]  # mean 2, variance 1
            assert values() == [-1.0, 1.0]
        assert values() == [1.0, 3.0]
    assert (norm.running_mean, norm.running_var) == (torch.zeros(1), torch.ones(1))
    assert norm.num_batches_tracked == 0


def test_group_norm_is_the_same_bit_for_bit() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)).eval()
    x = torch.randn(2, 1, 8, 8)
    expected = network(x)
    with training_statistics(network):
        assert torch.equal(network(x), expected)
    assert not depends_on_the_batch(network)
    assert depends_on_the_batch(nn.BatchNorm2d(1))


def test_a_window_is_computed_with_its_company() -> None:
    def minus_the_mean(batch: Tensor) -> Tensor:
        return batch - batch.mean(0, keepdim=True)

    network = in_company(minus_the_mean, lambda window: torch.full((3, 1), 5.0 + window))
    assert network(torch.tensor([[1.0]])).tolist() == [[-3.0]]  # the mean of 1, 5, 5, 5 is 4
    assert network(torch.tensor([[2.0]])).tolist() == [[-3.0]]  # the mean of 2, 6, 6, 6 is 5


def test_scores_of_deep_supervision_are_refused() -> None:
    with pytest.raises(TypeError, match="a network in training mode: only its norms may be"):
        in_company(lambda x: [x], lambda _: torch.empty(0, 1))(torch.zeros(1, 1))
