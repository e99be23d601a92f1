"""What is said of scans that are odd for a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.plans.plan import ChannelPlan, Plan
from segkit.plans.plan_file import read_plan
from segkit.plans.ranges import ChannelRange, DataRanges
from segkit.preprocessing.chain import prepare_parts
from segkit.preprocessing.scan_checks import no_estimate_because, scan_warnings
from segkit.volume import Volume

PLAN = Path(__file__).parents[1] / "data" / "plan_v1.json"
Shape = tuple[int, int, int]
Spacing = tuple[float | None, float | None, float | None]


def plan(slice_axis: int | None = None, spacing: Spacing = (1.0, 1.0, 1.0)) -> Plan:
    changes = {"dims": 3 if slice_axis is None else 2, "slice_axis": slice_axis, "spacing": spacing}
    channels = (ChannelPlan("MR", "zscore"),)
    return Plan(**{**read_plan(PLAN).__dict__, "channels": channels, "unit": "mm", **changes})


def said(shape: Shape, edges: tuple[float, float, float], its: Plan, low: int = 0) -> list[str]:
    array = np.full((1, *shape), 9)
    array.flat[0] = low
    parts = prepare_parts(Volume(array, np.diag([*edges, 1.0])), its, where="s.nii")
    return scan_warnings(parts.grid, its, parts.normalizers)


def test_a_constant_channel() -> None:
    expected = "channel MR: the scan has one constant value; nothing can be told apart in it"
    assert said((4, 4, 4), (1, 1, 1), plan(), low=9) == [expected]


def test_one_slice_for_a_model_of_volumes() -> None:
    (found,) = said((8, 1, 8), (1, 1, 1), plan())
    assert (
        found == "the scan is one slice, and the model was trained on volumes; look at the result"
    )
    assert said((8, 2, 8), (1, 1, 1), plan()) == []


@pytest.mark.parametrize(
    ("shape", "edges"), [((8, 3, 8), (1, 5, 1)), ((8, 1, 8), (1, 5, 1)), ((8, 3, 8), (-1, -5, 1))]
)
def test_slices_across_another_axis_than_those_of_the_model(
    shape: Shape, edges: tuple[float, float, float]
) -> None:
    (found,) = said(shape, edges, plan(2, (1.0, 1.0, None)))
    assert found == (
        "its slices, 5 mm thick, lie across y (coronal), and the model, which was trained on"
        " slices across z (axial), cuts it across that; look at the result"
    )


@pytest.mark.parametrize(
    ("shape", "edges", "spacing"),
    [
        ((8, 8, 3), (1, 1, 5), (1.0, 1.0, None)),  # as the model's
        ((8, 8, 1), (1, 3, 1), (1.0, 1.0, None)),  # one slice, as the model's
        ((8, 8, 8), (1, 1.4, 1), (1.0, 1.0, None)),  # thick along none
        ((8, 8, 8), (1, 3, 1), (1.0, 3.0, None)),  # as in the training
    ],
)
def test_nothing_is_said_of_slices_that_are_as_they_should(
    shape: Shape, edges: tuple[float, float, float], spacing: Spacing
) -> None:
    assert said(shape, edges, plan(2, spacing)) == []


def test_a_scan_is_turned_before_its_axes_are_named() -> None:
    """Sagittal slices, stored with their own axis first: X of the file runs from front to back."""
    affine = np.array([[0, 0, 4, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    its = plan(2, (1.0, 1.0, None))
    parts = prepare_parts(Volume(np.arange(5 * 5 * 5).reshape(1, 5, 5, 5), affine), its)
    (found,) = scan_warnings(parts.grid, its, parts.normalizers)
    assert "its slices, 4 mm thick, lie across x (sagittal)" in found


def data_ranges(
    edges: Any = ((1.0, 1.0),) * 3, low: Any = (0.0, 0.0), high: Any = (900.0, 1000.0)
) -> DataRanges:
    """12 cases of 40 to 60 mm."""
    return DataRanges(12, edges, ((40.0, 60.0),) * 3, (ChannelRange(low, high),), {})  # type: ignore[arg-type]


def compared(
    array: Any, edges: tuple[float, float, float], training: DataRanges, its: Plan | None = None
) -> list[str]:
    its = its or plan()
    parts = prepare_parts(Volume(array, np.diag([*edges, 1.0])), its)
    return scan_warnings(parts.grid, its, parts.normalizers, training, corner=parts.corner)


def ramp(low: float, high: float, shape: Shape = (50, 50, 50)) -> Any:
    return np.linspace(low, high, int(np.prod(shape))).reshape(1, *shape)


def test_a_scan_like_the_training_data() -> None:
    assert compared(ramp(0, 5000), (1, 1, 1), data_ranges()) == []
    assert compared(ramp(0, 1, (60, 20, 30)), (0.9, 1.5, 1.2), data_ranges()) == []


def test_voxels_and_field_of_view_far_from_the_training() -> None:
    assert compared(ramp(0, 9, (50, 50, 10)), (1, 1, 5), data_ranges()) == [
        "voxels of 1 x 1 x 5 mm; the training data have 1 x 1 x 1 mm: check the voxel size of the"
        " scan"
    ]
    for edge in (2.0, 0.6):
        (warning,) = compared(ramp(0, 9, (round(50 / edge),) * 3), (edge,) * 3, data_ranges())
        assert "check the voxel size" in warning
    assert compared(ramp(0, 9, (50, 50, 19)), (1, 1, 1), data_ranges()) == [
        "the field of view is 50 x 50 x 19 mm; the training data have 40 to 60 x 40 to 60 x 40 to"
        " 60 mm"
    ]
    assert len(compared(ramp(0, 9, (130, 50, 50)), (1, 1, 1), data_ranges())) == 1


def test_along_the_slice_axis_of_a_2d_model_nothing_is_compared() -> None:
    its = plan(2, (1.0, 1.0, None))
    assert compared(ramp(0, 9, (50, 50, 1)), (1, 1, 1), data_ranges(), its) == []


def test_a_ct_for_a_model_of_mr() -> None:
    assert compared(ramp(-1024, 3071), (1, 1, 1), data_ranges()) == [
        "channel MR: the values go from -1024 to 3071 and look like CT; the training data go from"
        " 0 to 1000"
    ]
    assert compared(ramp(-1024, 3071), (1, 1, 1), data_ranges(low=(-1024.0, -900.0))) == []


def test_a_noisy_mr_does_not_look_like_ct() -> None:
    noise = np.random.default_rng(0).normal(100, 200, (1, 50, 50, 50)).round()
    assert noise.min() < -500
    assert compared(noise, (1, 1, 1), data_ranges()) == []


def test_a_ct_without_its_offset_for_a_model_of_bones() -> None:
    """Its labels have no value below 0, but its scans do."""
    its = replace(
        plan(), channels=(ChannelPlan("CT", "ct", lower=100, upper=1500, mean=500, std=300),)
    )
    (warning,) = compared(ramp(0, 4095), (1, 1, 1), data_ranges(low=(-1024.0, -1000.0)), its)
    assert warning.startswith(
        "channel CT: the values go from 0 to 4095, and none is below 0; the labeled voxels of"
    )
    assert compared(ramp(0, 4095), (1, 1, 1), data_ranges(low=(0.0, 0.0)), its) == []
    (warning,) = compared(ramp(-1024, 3071), (1, 1, 1), data_ranges(low=(0.0, 0.0)), its)
    assert "but the training data have no value below 0" in warning


def unlike(array: Any, *, other: tuple[str, ...] = (), low: float = 0.0) -> str:
    parts = prepare_parts(Volume(array, np.eye(4)), plan())
    return no_estimate_because(parts.normalizers, data_ranges(low=(low, low)), other)


def test_scans_of_which_validation_cases_say_nothing() -> None:
    assert unlike(ramp(0, 900)) == ""
    assert unlike(ramp(5, 5)) == "the scan has no contrast"
    assert unlike(ramp(-1024, 3071)) == "channel MR is unlike the scans of the training"
    assert unlike(ramp(-1024, 3071), low=-1024.0) == ""
    assert unlike(ramp(0, 900), other=("MR",)) == "channel MR is unlike the scans of the training"


def organs() -> Plan:
    return replace(
        plan(), channels=(ChannelPlan("CT", "ct", lower=-80, upper=240, mean=60, std=40),)
    )


def test_an_mr_for_a_model_of_ct() -> None:
    """Interpolation leaves an MR a few values below 0, so it is not the lack of these that tells
    it.
    """
    assert compared(ramp(-47, 833), (1, 1, 1), data_ranges(low=(-1024.0, -990.0)), organs()) == [
        "channel CT: the lowest value is -47; the training data reach -1024 to -990."
        " Is this scan a CT in Hounsfield units, and does it show air?"
    ]


@pytest.mark.parametrize(
    ("lowest", "usual"),
    [(-1000, -500), (-450, -990), (-200, -990), (-47, -499)],
    ids=["air", "noise", "gas", "crops"],
)
def test_ct_that_may_belong_to_the_training(lowest: float, usual: float) -> None:
    assert compared(ramp(lowest, 833), (1, 1, 1), data_ranges(low=(-1024.0, usual)), organs()) == []


def test_a_border_of_air_that_is_cut_away_counts() -> None:
    """The training data were measured with theirs."""
    array = np.full((1, 52, 52, 52), -1024.0)
    array[:, 1:-1, 1:-1, 1:-1] = ramp(-47, 833)
    assert (
        compared(
            array,
            (1, 1, 1),
            data_ranges(low=(-1024.0, -990.0)),
            replace(organs(), crop_to_content=True),
        )
        == []
    )
