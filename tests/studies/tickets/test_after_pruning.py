"""Stored statistics that are measured anew, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import segkit
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.studies.tickets.after_pruning import Bench

MODE = ComputeMode("float32", "contiguous")
PATCHES = [
    torch.tensor([first, second]).view(1, 2, 1, 1) for first, second in ((-1.0, 1.0), (3.0, 3.0))
]


@pytest.fixture(scope="module")
def plan(phantom: Path) -> Plan:
    small = ("network.features=[4,8]", "plan.patch=[16,16,16]", "trainer.batch_size=1")
    return segkit.plan(str(phantom), *small)


def bench(plan: Plan) -> Bench:
    return Bench(plan, [], [], lambda number: PATCHES[number % 2], MODE, torch.device("cpu"))


def test_statistics_are_the_mean_over_all_batches(plan: Plan) -> None:
    norm = nn.BatchNorm3d(1).eval()
    norm.running_mean.fill_(100)
    norm.num_batches_tracked.fill_(7)
    assert bench(plan).recalibrate(norm)
    assert float(norm.running_mean) == pytest.approx((0 + 3) / 2)
    assert float(norm.running_var) == pytest.approx(2 / 2)  # 2 for -1 and 1, and 0
    assert not norm.training
    assert norm.momentum == 0.1


def test_batch_renorm_is_measured_too(plan: Plan) -> None:
    norm = BatchRenorm(1, eps=1e-12).eval()
    norm.running_mean.fill_(100)
    norm.num_batches_tracked.fill_(1000)
    assert bench(plan).recalibrate(norm)
    assert float(norm.running_mean) == pytest.approx((0 + 3) / 2)
    assert float(norm.running_std) == pytest.approx(1 / 2, abs=1e-5)


def test_networks_without_stored_statistics_stay_as_they_are(plan: Plan) -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1), nn.GroupNorm(1, 2)).eval()
    before = [tensor.clone() for tensor in network.state_dict().values()]
    assert not bench(plan).recalibrate(network)
    assert all(map(torch.equal, before, network.state_dict().values()))
