"""What is said of scans that are odd for a plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.plans import ChannelPlan, Plan, read_plan
from segkit.preprocessing.chain import prepare_parts
from segkit.preprocessing.scan_warnings import scan_warnings
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
    assert found == "the scan is one slice, and the model was trained on volumes; look at the result"
    assert said((8, 2, 8), (1, 1, 1), plan()) == []


@pytest.mark.parametrize(("shape", "edges"), [((8, 3, 8), (1, 5, 1)), ((8, 1, 8), (1, 5, 1)), ((8, 3, 8), (-1, -5, 1))])
def test_slices_across_another_axis_than_those_of_the_model(shape: Shape, edges: tuple[float, float, float]) -> None:
    (found,) = said(shape, edges, plan(2, (1.0, 1.0, None)))
    assert found == (
        "its slices, 5 mm thick, lie across y (coronal), and the model, which was trained on slices across"
        " z (axial), cuts it across that; look at the result"
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
