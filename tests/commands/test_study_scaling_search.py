"""segkit study scaling_search: its settings, and what it prints."""

from __future__ import annotations

import pytest

from segkit.cli import main
from segkit.commands.study_scaling_search import summary_lines


def test_show_prints_settings_and_the_number_of_trainings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["dataset=scans", "budget.memory=8GB", "study.trials=8", "study.baselines=none"]
    assert main(["study", "scaling_search", *words, "--show"]) == 0
    shown = capsys.readouterr().out
    assert "budget.memory=8GB\n" in shown
    assert "# 8 + 4 + 2 trainings of 1, 2, 4 ... parts of the steps, and 3" in shown


def test_the_chosen_network_is_printed_as_overrides() -> None:
    quoted = {"mean": 0.8, "low": 0.7, "high": 0.9, "cases": 20}
    finalist = {"name": "w16_c2", "arm": "search", "cost": 2e8, "choose": 0.85, "quoted": quoted}
    lines = summary_lines(
        {"finalists": [finalist], "verdict": ["A verdict."], "overrides": ["network.convs=2"]}
    )
    assert lines[-1] == "  segkit train DATASET network.convs=2"
    assert "A verdict." in lines
    assert "w16_c2" in lines[0]
    nothing = summary_lines({"finalists": [], "verdict": ["Nothing."], "overrides": []})
    assert nothing[-1] == "Nothing."
