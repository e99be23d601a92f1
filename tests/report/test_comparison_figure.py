"""Chart and tables of a comparison stay readable with many labels and cases."""

from __future__ import annotations

from typing import Any

from segkit.evaluation.paired import PairedValue
from segkit.report.comparison_figure import (
    MOST_DOTS,
    MOST_LABELS,
    difference_chart,
    evenly,
    shown_labels,
)
from segkit.report.comparison_tables import MOST_ROWS, changed_cases, left_out_cases


def entry(label: str, difference: float | None, *, higher: bool = True) -> dict[str, Any]:
    return {
        "label": label,
        "metric": "dice" if higher else "hd95_mm",
        "difference": difference,
        "low": difference,
        "high": difference,
        "higher_is_better": higher,
        "verdict": "a verdict",
    }


def row(case: str, difference: float, change: Any = "better") -> PairedValue:
    return PairedValue(case, "x", "dice", 0.5, 0.5 + difference, difference, change)


def test_of_many_labels_those_that_differ_most_are_drawn_in_their_order() -> None:
    results = [entry(f"l{i}", i / 100 - 0.1) for i in range(20)]
    shown = [found["label"] for found in shown_labels([*results, entry("none", None)])]
    assert len(shown) == MOST_LABELS
    assert shown == sorted(shown, key=lambda name: int(name[1:]))
    assert "l10" not in shown
    assert {"l0", "l19"} <= set(shown)


def test_of_many_cases_dots_are_spread_over_all_ranks() -> None:
    values = [(f"c{i}", float(i)) for i in range(1000)]
    drawn = [value for _, value in evenly(values[::-1])]
    assert len(set(drawn)) == MOST_DOTS
    assert (drawn[0], drawn[-1]) == (0.0, 999.0)
    assert drawn[MOST_DOTS // 2] == 501.0  # 150 steps of 999 / 299


def test_the_better_side_follows_the_metric_and_names_are_escaped() -> None:
    rows = [row("<c>", 0.25)]
    chart = difference_chart([entry("x", 0.25)], rows, caption="words")
    assert chart.index("A is better") < chart.index("B is better")
    assert "&lt;c&gt;: +0.25" in chart
    assert "<c>" not in chart
    chart = difference_chart([entry("x", 0.25, higher=False)], rows, caption="words")
    assert chart.index("B is better") < chart.index("A is better")


def test_a_chart_of_equal_values_has_an_axis() -> None:
    assert "circle" in difference_chart([entry("x", 0.0)], [row("c", 0.0, "equal")], caption="")


def test_tables_of_cases_start_with_the_largest_change_and_say_how_many_there_are() -> None:
    rows = [row(f"c{i}", i / 1000) for i in range(1, MOST_ROWS + 6)]
    (header, cells), total = changed_cases(rows, "dice", "better")
    assert header == ["case", "label", "B - A", "A", "B"]
    assert (len(cells), total) == (MOST_ROWS, MOST_ROWS + 5)
    assert cells[0] == ["c35", "x", 0.035, 0.5, 0.535]
    assert changed_cases(rows, "dice", "worse") == ((header, []), 0)


def test_metrics_that_are_left_out_for_one_reason_share_a_row() -> None:
    rows = [
        PairedValue("c", "x", metric, 1.0, None, None, "not compared", "infinite in B")
        for metric in ("hd95_mm", "assd_mm")
    ]
    (_, cells), total = left_out_cases(rows)
    assert (cells, total) == ([["c", "x", "infinite in B", "hd95_mm, assd_mm"]], 1)
