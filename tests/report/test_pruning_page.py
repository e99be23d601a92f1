"""Tables and page of a pruning, from numbers made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from segkit.report.pruning_page import (
    budget_sentence,
    channel_table,
    cost_table,
    dice_sentences,
    dice_table,
    machine_sentence,
    pruning_page,
    round_table,
)

RESULT: dict[str, Any] = {
    "budget": {"latency": 0.5},
    "model": {"name": "liver <1>", "hash": "0123"},
    "machine": {"device": "cpu", "precision": "bfloat16", "threads": 2},
    "before": {
        "parameters": 1401593,
        "multiply_adds": 4_000_000_000,
        "seconds": 0.2,
        "bytes": 50_000_000,
        "channels": [[16, 16], [32, 32], [16, 16]],
        "dice": {"liver": 0.9, "spleen": 0.8},
        "mean_dice": 0.85,
    },
    "after": {
        "parameters": 700000,
        "multiply_adds": 1_000_000_000,
        "seconds": 0.09,
        "bytes": 40_000_000,
        "channels": [[16, 8], [32, 12], [16, 16]],
        "dice": {"liver": 0.89, "spleen": 0.81},
        "mean_dice": 0.85,
    },
    "dice": {
        "cases": 4,
        "difference": {"mean": 0.0, "low": -0.01, "high": 0.01, "cases": 4},
        "verdict": "no evidence of a difference",
        "note": "Neither model was trained on these cases.",
    },
    "rounds": [
        {
            "share": 0.5,
            "parameters": 700000,
            "multiply_adds": 1_000_000_000,
            "steps": 100,
            "dice": None,
            "seconds": 90.0,
        }
    ],
}


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"latency": 0.5}, "latency 0.5 of the original model; 0.450 were reached."),
        ({"latency": 0.4}, "0.450 were reached, which is more than the budget. Two timings are"),
        ({"macs": 0.3}, "macs 0.3 of the original model; 0.250 were reached."),
        ({"parameters": 0.5}, "parameters 0.5 of the original model; 0.499 were reached."),
    ],
)
def test_a_budget_that_is_missed_is_said(budget: dict[str, float], text: str) -> None:
    result = {**RESULT, "budget": budget}
    assert text in budget_sentence(result)
    assert text in pruning_page(result)


def test_costs_have_units_and_ratios() -> None:
    assert cost_table(RESULT)[1] == [
        ["parameters", "1 401 593", "700 000", "0.50"],
        ["multiply-adds of a window, millions", "4 000.0", "1 000.0", "0.25"],
        ["time of a window, ms", "200.0", "90.0", "0.45"],
        ["memory for a window, MB", "50.0", "40.0", "0.80"],
    ]


def test_memory_that_cannot_be_measured_has_no_row() -> None:
    after = {**RESULT["after"], "bytes": None}
    assert len(cost_table({**RESULT, "after": after})[1]) == 3


def test_dice_by_label_and_on_average() -> None:
    assert dice_table(RESULT)[1] == [
        ["liver", 0.9, 0.89, "-0.0100"],
        ["spleen", 0.8, 0.81, "+0.0100"],
        ["mean", 0.85, 0.85, "+0.0000"],
    ]
    assert dice_sentences(RESULT) == (
        "Change of the mean over cases +0.0000 (95 % interval -0.0100 to +0.0100): no evidence of"
        " a difference. Neither model was trained on these cases."
    )


def test_a_single_case_has_no_interval() -> None:
    change = {"mean": -0.0659, "low": -0.0659, "high": -0.0659, "cases": 1}
    dice = {**RESULT["dice"], "cases": 1, "difference": change}
    assert dice_sentences({**RESULT, "dice": dice}) == (
        "Change in the only case -0.0659: no evidence of a difference. Neither model was trained on"
        " these cases."
    )


def test_channels_rounds_and_machine() -> None:
    assert channel_table(RESULT)[1] == [
        ["encoder 0", "16, 16", "16, 8"],
        ["bottleneck", "32, 32", "32, 12"],
        ["decoder 0", "16, 16", "16, 16"],
    ]
    assert round_table(RESULT)[1] == [[1, "0.50", "700 000", "1 000.0", 100, None, "1.5"]]
    assert machine_sentence(RESULT).startswith(
        "Time and memory of one window on cpu in bfloat16, 2 threads;"
    )


def test_the_page_escapes_names() -> None:
    page = pruning_page(RESULT)
    assert "<h1>Pruning of liver &lt;1&gt;</h1>" in page
    assert 'src="round_1/progress.png"' in page
