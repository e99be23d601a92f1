"""The largest patch and width that train in a given memory."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from segkit.config.schema import TrainerConfig
from segkit.errors import SegkitError, UsageError
from segkit.networks import build_network
from segkit.plans.plan import Plan
from segkit.plans.symmetry_rules import symmetry_problems
from segkit.studies.memory_process import is_measurable
from segkit.studies.normalization.capacity import (
    capacity_measurements,
    estimated_bytes,
    largest_that_trains,
    largest_within,
    with_patch,
    with_width,
)
from segkit.studies.normalization.measurement import Measurement
from segkit.studies.normalization.step_memory import StepProcess
from segkit.studies.normalization.trained_cell import TrainedCell
from tests.symmetric_plans import planned

TRAINER = TrainerConfig(precision="float32", layout="contiguous", threads=1)


def by_voxels(plan: Plan, _trainer: TrainerConfig) -> int:
    """Return 1000 bytes per voxel of a batch and channel of the first stage."""
    channels = plan.network.encoder[0].layers[0].channels
    return 1000 * plan.batch_size * math.prod(plan.patch) * channels


@pytest.mark.parametrize("factor", [0.01, 0.5, 1, 3, 100])
@pytest.mark.parametrize("limit", [0, 1, 50, 99, 100, 4096, 5000])
def test_the_search_finds_the_largest_whatever_the_estimate(factor: float, limit: int) -> None:
    estimates = [factor * number**2 for number in range(1, 65)]
    assert largest_within(limit, estimates, lambda number: number**2) == min(64, math.isqrt(limit))


def test_out_of_memory_is_too_much() -> None:
    def cost(number: int) -> float:
        return number if number < 5 else math.inf

    assert largest_within(100, list(range(1, 65)), cost) == 4


def test_patches_keep_their_ratios_and_widths_their_groups(plan_for_balls: Plan) -> None:
    # The patch is 20 x 18 x 16 with one halving, so 10 x 9 x 8 at the bottleneck.
    assert plan_for_balls.patch == (20, 18, 16)
    patches = [with_patch(plan_for_balls, number).patch for number in (1, 5, 13)]
    assert patches == [(10, 8, 8), (20, 18, 16), (40, 36, 32)]
    wide = with_width(plan_for_balls, 3)
    pairs = zip(wide.network.layers, plan_for_balls.network.layers, strict=True)
    for layer, before in pairs:
        assert layer.channels == 3 * before.channels
        assert layer.groups == 3 * before.groups
    image = torch.zeros(1, 1, *wide.patch)
    assert build_network(wide).eval()(image).shape == (1, 3, *wide.patch)


def test_wider_equivariant_networks_have_whole_orbits() -> None:
    plan = planned("octahedral24", 3)
    for number in (1, 2, 3):
        wide = with_width(plan, number)
        assert {layer.channels for layer in wide.network.layers} == {24 * number}
        assert not list(symmetry_problems(wide))
    assert with_width(planned("d4", 3), 1).network.encoder[0].layers[0].channels == 8


def test_the_estimate_is_the_planners(plan_for_balls: Plan) -> None:
    # "A batch of 2 needs about ... GB", in the reason for the patch, with two digits.
    text = f"needs about {estimated_bytes(plan_for_balls) / 1e9:.2g} GB"
    assert text in plan_for_balls.reasons["patch"]


def test_capacity_by_a_cost_known_by_hand(plan_for_balls: Plan) -> None:
    # With 8 channels: 46.1 MB for 20 x 18 x 16 voxels and 63.4 MB for the next patch, 22 x 20 x 18;
    # in batches of 8, 41.0 MB for 10 x 8 x 8 voxels and 92.2 MB for 12 x 12 x 10.
    found = capacity_measurements(
        plan_for_balls, TRAINER, memory=47_000_000, batch_sizes=(1, 8), step_memory=by_voxels
    )
    assert list(found) == [
        Measurement("largest_patch_voxels", 20 * 18 * 16, batch=1),
        Measurement("largest_width", 8, batch=1),
        Measurement("largest_patch_voxels", 10 * 8 * 8, batch=8),
        Measurement("largest_width", 0, batch=8),
    ]


def test_too_little_memory(plan_for_balls: Plan) -> None:
    with pytest.raises(
        UsageError, match=r"1\.0 MB are too little for a training step of any width"
    ):
        largest_that_trains(
            plan_for_balls, TRAINER, vary="width", memory=1_000_000, step_memory=by_voxels
        )


@pytest.mark.slow  # starts PyTorch in another process
@pytest.mark.skipif(not is_measurable("cpu"), reason="needs Linux's count of the most memory held")
def test_real_steps_in_a_process(batch_cell: TrainedCell) -> None:
    plan = with_patch(batch_cell.plan, 13)
    with StepProcess() as process:
        one, again, eight = (
            process.memory(dataclasses.replace(plan, batch_size=size), TRAINER)
            for size in (1, 1, 8)
        )
        assert one and again and eight  # noqa: PT018
        # Seven more patches keep at least the outputs of all layers.
        elements = sum(layer.channels * layer.voxels for layer in plan.network.layers)
        assert eight - one > 7 * 4 * elements
        assert abs(one - again) < 0.2 * one
        with pytest.raises(SegkitError, match=r"a training step failed: .*no such loss"):
            process.memory(plan, dataclasses.replace(TRAINER, loss="no such loss"))
        process._process.kill()
        with pytest.raises(SegkitError, match="a training step failed: its process has ended"):
            process.memory(plan, TRAINER)
