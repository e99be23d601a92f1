"""Exponential moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segkit.training.optimization.weight_averaging import RunningAverage, averaged_copy


def test_average_follows_weights_and_buffers() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = averaged_copy(network)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        average[0].weight.fill_(0.0)
    network[1].running_mean.fill_(4.0)
    network[1].num_batches_tracked.fill_(7)
    RunningAverage(average, network).update(decay=0.5, step=1000)
    assert average[0].weight.flatten().tolist() == [0.5, 0.5]
    assert average[1].running_mean.tolist() == [2.0, 2.0]
    assert average[1].num_batches_tracked == 7
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_the_random_start_is_forgotten_quickly() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = averaged_copy(network)
    with torch.no_grad():
        network.weight.fill_(1.0)
        average.weight.fill_(0.0)
    RunningAverage(average, network).update(decay=0.999, step=0)
    assert average.weight.item() == pytest.approx(0.9)
