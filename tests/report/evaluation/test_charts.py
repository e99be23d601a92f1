"""Charts of an evaluation as SVG."""

from __future__ import annotations

import re

from segkit.evaluation.agreement import agreement
from segkit.evaluation.distribution import distribution
from segkit.report.evaluation.charts import (
    LABELS_DRAWN,
    POINTS_DRAWN,
    difference_chart,
    distribution_chart,
    lowest_labels,
    volume_chart,
)


def facts_of(values: dict[str, float]) -> dict[str, float | None]:
    return vars(distribution(values, {}))


def test_every_case_is_a_dot_with_its_name() -> None:
    values = {"case <1>": 0.5, "b": 0.75}
    text = distribution_chart({"liver": values}, {"liver": facts_of(values)}, "dice")
    assert text.count("<circle") == 2
    assert "<title>case &lt;1&gt;: 0.500</title>" in text
    assert 'aria-label="Distribution of dice. liver: median 0.625' in text


def test_the_mean_lies_between_the_dots() -> None:
    values = {"a": 0.0, "b": 1.0}
    text = distribution_chart({"liver": values}, {"liver": facts_of(values)}, "dice")
    left, right = sorted(float(x) for x in re.findall(r'<circle cx="([0-9.]+)"', text))
    diamond = re.search(r'd="M([0-9.]+) ', text)
    assert diamond
    assert float(diamond[1]) + 5 == (left + right) / 2


def test_of_many_cases_only_those_beyond_the_whiskers_are_dots() -> None:
    values = {str(number): number / 1000 for number in range(POINTS_DRAWN)} | {"far": -9.0}
    text = distribution_chart({"liver": values}, {"liver": facts_of(values)}, "dice")
    assert re.findall("<title>(.*?)</title>", text) == ["far: -9.000"]
    assert "Dots: cases beyond the whiskers" in text


def test_labels_without_finite_values_are_not_drawn() -> None:
    assert distribution_chart({"liver": {"a": float("inf")}}, {}, "hd95_mm") == ""


def test_equal_values_have_a_chart() -> None:
    values = {"a": 1.0, "b": 1.0}
    assert "<rect" in distribution_chart({"liver": values}, {"liver": facts_of(values)}, "dice")


def test_the_lowest_labels_are_drawn_in_their_order() -> None:
    means = {f"label {number}": 1 - number / 100 for number in range(LABELS_DRAWN + 1)}
    labels = {name: {"dice": {"mean": mean}} for name, mean in means.items()}
    labels["nowhere"] = {"dice": {"mean": None}}
    assert lowest_labels({"distribution": {"labels": labels}}) == list(means)[1:]


def test_volumes_on_the_line_are_equal() -> None:
    text = volume_chart({"a": (2.0, 1.0), "b": (1.0, 1.0)}, "liver", "ml")
    assert "1 of 2 cases lie above the dashed line" in text
    assert "<title>a: predicted 2.000, reference 1.000</title>" in text


def test_differences_with_limits_of_agreement() -> None:
    volumes = {"a": (3.0, 2.0), "b": (2.0, 3.0)}
    text = difference_chart(volumes, vars(agreement(volumes, {})), "liver", "ml")
    assert "bias (full line) 0.000 ml, limits of agreement (dashed) -2.772 to 2.772 ml" in text
    assert text.count('class="dashed"') == 2


def test_a_single_case_has_a_bias_only() -> None:
    volumes = {"a": (3.0, 2.0)}
    text = difference_chart(volumes, vars(agreement(volumes, {})), "liver", "ml")
    assert "a single case has no limits of agreement" in text
    assert 'class="dashed"' not in text
