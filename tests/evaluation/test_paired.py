"""Values of two sets of predictions, case by case."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from segkit.evaluation.measure import LabelResult
from segkit.evaluation.metrics import METRICS
from segkit.evaluation.paired import (
    is_higher_better,
    limits_of_difference,
    paired_values,
    rounded,
)

EMPTY = LabelResult("neither", {})


def result(**metrics: float) -> LabelResult:
    return LabelResult("both", metrics)


def one_sided(presence: Literal["reference only", "prediction only"]) -> LabelResult:
    """Return the result of a label in only one mask."""
    return LabelResult(presence, {"dice": 0.0, "hd95_mm": math.inf})


def rows_of(a: LabelResult, b: LabelResult) -> dict[str, tuple[object, str, str]]:
    rows = paired_values({"c": {"liver": a}}, {"c": {"liver": b}})
    return {row.metric: (row.difference, row.change, row.note) for row in rows}


def test_better_and_worse_depend_on_the_metric() -> None:
    found = rows_of(
        result(dice=0.5, hd95_mm=2.0, volume_difference_ml=-3.0),
        result(dice=0.75, hd95_mm=1.0, volume_difference_ml=4.0),
    )
    assert found == {
        "dice": (0.25, "better", ""),
        "hd95_mm": (-1.0, "better", ""),
        "absolute_volume_difference_ml": (1.0, "worse", ""),  # 3 ml too small, 4 ml too large
    }
    assert is_higher_better("dice")
    assert not is_higher_better("absolute_volume_difference_ml")


def test_a_missed_label_is_dice_0_and_no_distance() -> None:
    found = rows_of(result(dice=0.5, hd95_mm=2.0), one_sided("reference only"))
    assert found == {
        "dice": (-0.5, "worse", ""),
        "hd95_mm": (None, "not compared", "infinite in B"),
    }
    both = rows_of(one_sided("reference only"), one_sided("reference only"))
    assert both["dice"] == (0.0, "equal", "")
    assert both["hd95_mm"] == (None, "not compared", "infinite in A and B")


def test_a_false_positive_of_one_counts_and_the_other_is_right() -> None:
    found = rows_of(EMPTY, one_sided("prediction only"))
    note = "A is right not to predict it, and counts as perfect"
    assert found["dice"] == (-1.0, "worse", note)
    neither = "label in neither mask of A, infinite in B"
    assert found["hd95_mm"] == (None, "not compared", neither)
    turned = rows_of(one_sided("prediction only"), EMPTY)
    assert turned["dice"] == (1.0, "better", note.replace("A", "B"))
    both = rows_of(one_sided("prediction only"), one_sided("prediction only"))
    assert both["dice"] == (0.0, "equal", "")


def test_a_false_positive_counts_in_every_metric_that_can_say_that_nothing_is_right() -> None:
    metrics = {metric.key("mm"): 0.25 for metric in METRICS}
    found = rows_of(EMPTY, LabelResult("prediction only", metrics))
    compared = {name: found[name][0] for name in found if found[name][0] is not None}
    assert compared == {
        **dict.fromkeys(("dice", "iou", "surface_dice", "subvoxel_surface_dice"), -0.75),
        "lesion_f1": -0.75,
        **dict.fromkeys(("lesions_found", "lesions_missed", "lesions_false"), 0.25),
        "absolute_volume_difference_ml": 0.25,
    }


def test_a_label_that_only_the_names_of_one_have_is_no_false_positive() -> None:
    """With A it is not measured, and the reference has it: nobody is right."""
    rows = paired_values({"c": {}}, {"c": {"liver": result(dice=0.5)}})
    assert [(row.change, row.a) for row in rows] == [("not compared", None)]


def test_a_label_that_nobody_has_is_no_row() -> None:
    assert rows_of(EMPTY, EMPTY) == {}


def test_an_undefined_value_is_not_compared() -> None:
    found = rows_of(result(dice=0.5, surface_dice=0.5), result(dice=0.5))
    assert found["surface_dice"] == (None, "not compared", "undefined in B")


def test_the_mean_of_a_case_is_over_the_labels_that_are_compared() -> None:
    a = {"c": {"liver": result(dice=0.5), "spleen": result(dice=0.75), "cyst": result()}}
    b = {"c": {"liver": result(dice=1.0), "spleen": result(dice=0.75), "cyst": result(dice=0.0)}}
    mean = paired_values(a, b)[-1]
    assert (mean.label, mean.a, mean.b, mean.difference) == ("mean", 0.625, 0.875, 0.25)


def test_only_cases_of_both_and_no_mean_of_a_single_label() -> None:
    one = {"liver": result(dice=0.5)}
    rows = paired_values({"x": one, "y": one}, {"y": one, "z": one})
    assert [(row.case, row.label) for row in rows] == [("y", "liver")]


def test_errors_of_rounding_are_no_differences() -> None:
    third = 0.1 + 0.2  # 0.30000000000000004
    assert rows_of(result(dice=0.3), result(dice=third))["dice"] == (0.0, "equal", "")
    assert rounded([1234.56789, 1e-9], 2000.0) == [1234.57, 0.0]
    assert rounded([0.0], 0.0) == [0.0]


@pytest.mark.parametrize(
    ("name", "limits"),
    [("dice", (-1.0, 1.0)), ("hd95_px", (-math.inf, math.inf))],
)
def test_limits_of_a_difference(name: str, limits: tuple[float, float]) -> None:
    assert limits_of_difference(name) == limits
