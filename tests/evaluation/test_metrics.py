"""Every metric of the catalogue is explained wherever metrics are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.commands.evaluate import metric_lines
from segkit.evaluation.measure import measure_masks
from segkit.evaluation.metrics import METRICS, Metric

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_explained_in_help_and_documentation(metric: Metric) -> None:
    assert metric.key("mm") in metric_lines()
    assert f"`{metric.key('mm')}`" in PAGE
    assert f"`{metric.key('px')}`" in PAGE


def test_names_are_different() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_order_of_the_catalogue_is_that_of_the_results() -> None:
    mask = np.ones((2, 2, 2), bool)
    measured = measure_masks(mask, mask, (1.0, 1.0, 1.0), unit="mm")
    assert list(measured) == [metric.key("mm") for metric in METRICS]
