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
from segkit.report.comparison_tables import (
    LARGEST,
    MOST_ROWS,
    changed_cases,
    left_out_cases,
    most_changed,
)


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


def test_the_largest_changes_are_listed_and_the_rest_is_counted() -> None:
    rows = [row(f"c{i}", i / 1000) for i in range(1, 36)]
    changes = changed_cases(rows, "better")
    header, cells = changes.table
    assert header == ["case", "label", "B - A", "A", "B"]
    assert (len(cells), cells[0]) == (LARGEST, ["c35", "x", 0.035, 0.5, 0.535])
    assert changes.sentence == (
        "35 of 35 pairs of case and label are better; the 10 largest changes are listed. The other"
        " 25 changed by 0.0250 or less; differences.csv has all."
    )
    none = changed_cases(rows, "worse")
    assert (none.table, none.sentence) == ((header, []), "None of 35.")


def test_a_margin_says_which_changes_are_listed() -> None:
    rows = [row(f"c{i}", i / 1000) for i in range(1, 36)]
    assert changed_cases(rows, "better", 0.033).sentence == (
        "35 of 35 pairs of case and label are better; those 2 are listed that changed by more than"
        " the margin, 0.033. The other 33 changed by 0.0330 or less; differences.csv has all."
    )
    assert "; none by more than the margin, 0.5. The other 35" in (
        changed_cases(rows, "better", 0.5).sentence
    )
    many = changed_cases(rows, "better", 0.001)
    assert len(many.table[1]) == MOST_ROWS
    assert "; the 30 largest changes are listed. The other 5 changed" in many.sentence
    assert changed_cases(rows[:3], "better").sentence.endswith("are better; all are listed.")


def test_worse_and_better_cases_are_drawn_in_turn() -> None:
    rows = [
        row("a", 0.1),
        row("b", 0.2),
        row("c", -0.3, "worse"),
        row("c", 0.5),
        row("d", 0.0, "equal"),
    ]
    assert most_changed(rows, 8) == ["c", "b", "a"]
    assert most_changed(rows, 1) == ["c"]
    assert most_changed([], 3) == []


def test_metrics_that_are_left_out_for_one_reason_share_a_row() -> None:
    rows = [
        PairedValue("c", "x", metric, 1.0, None, None, "not compared", "infinite in B")
        for metric in ("hd95_mm", "assd_mm")
    ]
    (_, cells), total = left_out_cases(rows)
    assert (cells, total) == ([["c", "x", "infinite in B", "hd95_mm, assd_mm"]], 1)
