"""Costs: exact counts against PyTorch, kept bytes against the hooks of autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from segkit.networks import build_network
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan
from segkit.studies.scaling.candidate import Frame
from segkit.studies.scaling.costs import Line, Mode, Rates, cost_of, windows_of

SMALL = {"patch": 0.4, "width": 1.4, "depth": 1.5}
"""Factors of a network that computes in a moment and whose axes all differ from the planner's."""


def image_for(plan: Plan) -> torch.Tensor:
    return torch.zeros(plan.batch_size, 1, *(plan.patch[axis] for axis in spatial_axes(plan)))


@pytest.mark.parametrize("name", ["frame", "pictures"])
def test_counts_are_those_of_pytorch(name: str, request: pytest.FixtureRequest) -> None:
    some: Frame = request.getfixturevalue(name)
    plan = replace(some.plan_of(some.candidate(**SMALL)), batch_size=1)
    cost = cost_of(plan, size=some.size, mode=Mode())
    network = build_network(plan)
    assert cost.parameters == sum(part.numel() for part in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image_for(plan))
    assert cost.multiply_adds == pytest.approx(counter.get_total_flops() / 2, rel=0.02)


def kept_by_autograd(plan: Plan, precision: str) -> int:
    """Return the bytes of all tensors that a forward pass keeps, without the parameters."""
    network = build_network(plan).train()
    own = {part.untyped_storage().data_ptr() for part in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with saved_tensors_hooks(pack, lambda tensor: tensor), half:
        outputs = network(image_for(plan))  # alive until counted, so that no address is used twice
    assert outputs
    return sum(size for address, size in kept.items() if address not in own)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["frame", "pictures"])
def test_kept_bytes_are_those_of_autograd(
    name: str, precision: str, batch_size: int, request: pytest.FixtureRequest
) -> None:
    some: Frame = request.getfixturevalue(name)
    plan = replace(some.plan_of(some.candidate(**SMALL)), batch_size=batch_size)
    cost = cost_of(plan, size=some.size, mode=Mode(precision))
    assert cost.kept_bytes == pytest.approx(kept_by_autograd(plan, precision), rel=0.1)


def test_kept_bytes_of_another_activation(frame: Frame) -> None:
    frame = replace(frame, network=replace(frame.network, activation="silu"))
    plan = frame.plan_of(frame.candidate(patch=0.5))
    cost = cost_of(plan, size=frame.size, mode=Mode())
    assert cost.kept_bytes == pytest.approx(kept_by_autograd(plan, "float32"), rel=0.1)


def test_costs_of_a_machine_follow_from_its_rates(frame: Frame) -> None:
    rates = Rates(memory=Line(2.0, 1.0, 100.0), window=Line(1e-9), step=Line(3e-9, 0.0, 0.5))
    plan = frame.plan_of(frame.candidate(patch=0.5))
    cost = cost_of(plan, size=frame.size, mode=Mode(), rates=rates)
    assert cost.memory == 2 * cost.kept_bytes + 16 * cost.parameters + 100
    assert cost.step_seconds == pytest.approx(2 * 3e-9 * cost.multiply_adds + 0.5)
    assert cost.seconds == pytest.approx(27 * 1e-9 * cost.multiply_adds)


def test_windows_of_a_scan(frame: Frame, pictures: Frame) -> None:
    # Patches of 20 x 28 x 20 voxels in a scan of 35 x 50 x 36: three windows along each axis.
    assert windows_of(frame.plan_of(frame.candidate(patch=0.5)), frame.size) == 27
    assert windows_of(frame.plan, frame.size) == 1
    assert windows_of(pictures.plan, (128, 128, 5)) == 5
