"""Quantized candidates and their plans."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from segkit.errors import UsageError
from segkit.studies.scaling.candidate import Candidate, Frame
from tests.studies.scaling.conftest import frame_for


def test_without_factors_it_is_the_planners_own_network(frame: Frame) -> None:
    candidate = frame.candidate()
    assert candidate == Candidate((16, 32, 64, 128), 2, (40, 56, 40), 2)
    assert frame.plan_of(candidate).network == frame.plan.network


@pytest.mark.parametrize("group_size", [2, 5, 16])
@pytest.mark.parametrize("patch", [0.1, 0.37, 0.5, 0.83, 1.0, 3.0])
@pytest.mark.parametrize("width", [0.3, 1.3, 2.7])
def test_every_candidate_can_be_built(
    frame: Frame, pictures: Frame, width: float, patch: float, group_size: float
) -> None:
    for some in (frame, pictures):
        candidate = some.candidate(width=width, patch=patch, channels_per_group=group_size)
        plan = some.plan_of(candidate)
        smallest = plan.network.sizes(plan.patch)[len(candidate.widths) - 1]
        assert plan.patch == candidate.patch
        for axis in some.axes:
            assert plan.patch[axis] % plan.network.divisor[axis] == 0
            assert smallest[axis] >= 4
            assert plan.patch[axis] <= some.largest_patch[axis]
        for channels in candidate.widths:
            assert channels % 16 == 0
            assert channels % (candidate.channels_per_group or 0) == 0
        per_group = [layer.channels // layer.groups for layer in plan.network.layers]
        assert set(per_group) == {candidate.channels_per_group}
        assert min(layer.voxels for layer in plan.network.layers) * per_group[0] >= 64
        assert min(layer.groups for layer in plan.network.layers) >= 2


def test_a_map_of_few_voxels_gets_larger_groups(pictures: Frame) -> None:
    # The smallest map of the picture is 4 x 4 pixels, and a group must have 64 values.
    candidate = pictures.candidate(channels_per_group=2)
    sizes = pictures.plan_of(candidate).network.sizes(candidate.patch)
    assert math.prod(sizes[len(candidate.widths) - 1]) == 16
    assert candidate.channels_per_group == 4


def test_too_few_values_for_any_group_are_refused(frame: Frame) -> None:
    with pytest.raises(UsageError, match=r"map of 1 x 1 x 1 voxels needs groups of 64 channels"):
        replace(frame, plan=frame.plan).group_size(2, (16,), (1, 1, 1))


def test_flat_widths_are_those_of_the_first_stage(frame: Frame) -> None:
    assert frame.candidate(width=2, shape="flat").widths == (32, 32, 32, 32)
    assert frame.candidate(width=2).widths == (32, 64, 128, 256)


def test_a_norm_without_groups_has_none_in_its_overrides() -> None:
    frame = frame_for((35, 50, 36), norm="batch")
    candidate = frame.candidate()
    assert candidate.channels_per_group is None
    assert candidate.overrides == [
        "network.features=[16,32,64,128]",
        "network.convs=2",
        "plan.patch=[40,56,40]",
    ]
    assert candidate.name == "w16-32-64-128_c2_p40x56x40"
    assert {layer.norm for layer in frame.plan_of(candidate).network.layers} == {"batch"}
