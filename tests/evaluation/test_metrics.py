"""Every metric of the catalogue is explained wherever metrics are listed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from segkit.commands.evaluate_metrics import metric_lines
from segkit.evaluation.calibration import reliability
from segkit.evaluation.extras import Extras
from segkit.evaluation.mask_pair import MaskPair
from segkit.evaluation.measure import measure_masks
from segkit.evaluation.metrics import FAMILIES, METRICS, RULES, Metric, metric_of

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_explained_in_help_and_documentation(metric: Metric) -> None:
    assert metric.key("mm") in metric_lines()
    assert f"`{metric.key('mm')}`" in PAGE
    assert f"`{metric.key('px')}`" in PAGE


CUBE, EMPTY = np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool)


def one_empty(predicted: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    return measure_masks(predicted, reference, (1.0, 1.0, 1.0), extras=Extras(FAMILIES[1:3]))


def test_values_of_a_label_in_only_one_mask() -> None:
    missed, false = one_empty(EMPTY, CUBE), one_empty(CUBE, EMPTY)
    both = {"dice": 0, "iou": 0, "hd95_mm": math.inf, "surface_dice": 0, "assd_mm": math.inf}
    both |= {"subvoxel_hd95_mm": math.inf, "subvoxel_surface_dice": 0}
    both |= {"subvoxel_assd_mm": math.inf, "lesion_f1": 0, "lesions_found": 0}
    nan = pytest.approx(math.nan, nan_ok=True)
    assert missed == {
        **both,
        "volume_difference_ml": -0.008,
        "sensitivity": 0,
        "precision": nan,
        "relative_volume_error": -1,
        "lesions_missed": 1,
        "lesions_false": 0,
    }
    assert false == {
        **both,
        "volume_difference_ml": 0.008,
        "sensitivity": nan,
        "precision": 0,
        "relative_volume_error": math.inf,
        "lesions_missed": 0,
        "lesions_false": 1,
    }


@pytest.mark.parametrize("text", [RULES, PAGE], ids=["RULES", "docs/evaluation.md"])
def test_the_rules_give_these_values(text: str) -> None:
    text = " ".join(text.split())
    assert re.search(r"only one (mask|of them), Dice, IoU and surface Dice are 0 and dist", text)
    assert "distances are infinite" in text
    assert "sensitivity is 0, the relative volume error is -1, and precision has no value" in text
    assert "precision is 0, the relative volume error is infinite, and sensitivity has no" in text


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_perfect_prediction_has_no_error_and_values_are_within_the_limits(metric: Metric) -> None:
    part = CUBE.copy()
    part[0] = False
    sums = [reliability(mask.astype(float), CUBE) for mask in (CUBE, part)]
    perfect, worse = (
        metric.compute(MaskPair(mask, CUBE, (1.0, 1.0, 1.0), reliability=found))
        for mask, found in zip((CUBE, part), sums, strict=True)
    )
    assert metric.error(perfect) == (-1 if metric.name == "lesions_found" else 0)
    assert metric.limits[0] <= worse <= metric.limits[1]
    assert metric.error(worse) >= metric.error(perfect)
    assert metric_of(metric.key("px")) is metric_of(metric.key("mm")) is metric


def test_names_are_different() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_order_of_the_catalogue_is_that_of_the_results() -> None:
    mask = np.ones((2, 2, 2), bool)
    measured = measure_masks(mask, mask, (1.0, 1.0, 1.0), unit="mm", extras=Extras(FAMILIES))
    assert list(measured) == [metric.key("mm") for metric in METRICS]
