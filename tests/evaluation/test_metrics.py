"""Every metric of the catalogue is explained wherever metrics are listed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from segkit.commands.evaluate import metric_lines
from segkit.evaluation.measure import measure_masks
from segkit.evaluation.metrics import METRICS, RULES, MaskPair, Metric

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_explained_in_help_and_documentation(metric: Metric) -> None:
    assert metric.key("mm") in metric_lines()
    assert f"`{metric.key('mm')}`" in PAGE
    assert f"`{metric.key('px')}`" in PAGE


@pytest.mark.parametrize(
    "sentence",
    [
        re.search("only one mask, (.*) are 0 and distances are infinite", RULES),
        re.search("only one of them has 0 for (.*). Its distances are infinite", PAGE),
    ],
    ids=["RULES", "docs/evaluation.md"],
)
def test_the_rules_give_each_value_of_a_label_in_only_one_mask(sentence: re.Match[str]) -> None:
    pair = MaskPair(np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1.0, 1.0, 1.0))
    values = {metric: metric.compute(pair) for metric in METRICS}
    zero = {metric.name.replace("_", " ") for metric, value in values.items() if value == 0}
    assert set(re.split(", | and ", sentence[1].lower())) == zero
    infinite = [metric for metric, value in values.items() if value == math.inf]
    assert infinite == [metric for metric in METRICS if metric.quantity == "length"]
    others = {metric.name for metric, value in values.items() if 0 < abs(value) < math.inf}
    assert len(zero) + len(infinite) + len(others) == len(METRICS)
    assert others == {"volume_difference"}


def test_names_are_different() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_order_of_the_catalogue_is_that_of_the_results() -> None:
    mask = np.ones((2, 2, 2), bool)
    measured = measure_masks(mask, mask, (1.0, 1.0, 1.0), unit="mm")
    assert list(measured) == [metric.key("mm") for metric in METRICS]
