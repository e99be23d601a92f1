"""segkit study scaling_search: the best width, depth, patch and channels per group in a budget."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies.search
from segkit.commands.cell_study import CellStudyCommand
from segkit.report.tables import Cell, text_table
from segkit.studies.cells import CellResult
from segkit.studies.search.settings import SEARCH

DETAILS = """\
Optuna proposes networks within the budget: factors of the planner's width, depth and patch,
channels per group, and whether deeper stages are wider. All are trained for few steps, the better
half for twice as many, and so on; the best ones with all seeds. They are compared with uniform
scaling, flat widths and random search at equal cost. The configuration is chosen on one half of the
validation cases, and its Dice is measured on the other half. Needs pip install 'segkit[search]'.
trainer.max_steps (or trainer.max_minutes) holds for each of the longest trainings.
The same command continues an unfinished study. Typed again elsewhere while it runs, it shares its
trainings.
"""


def run(arguments: Sequence[str]) -> int:
    """Search and compare, print the chosen configuration and the paths, and return the exit code.

    Raises:
        SomeCasesFailed: some trainings have no result; the others are done.
    """
    command = CellStudyCommand(
        SEARCH,
        _study,
        description="Search for the best network within a budget, and compare it with uniform "
        "scaling, flat widths and random search.",
        details=DETAILS,
        size=lambda settings: settings.size,
        lines=summary_lines,
        cells="trainings",
    )
    return command.run(arguments)


def _study(*words: str, **options: Any) -> tuple[Path, list[CellResult]]:
    return segkit.studies.search.study_scaling_search(*words, **options)


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the best configurations, the verdict and the overrides of the chosen one."""
    header = ["configuration", "found by", "cost", "choosing", "Dice", "low", "high"]
    lines = [
        text_table(header, [_row(each) for each in summary["finalists"]]),
        "The configuration is chosen by the Dice on the cases for choosing. 'Dice', with its 95 %",
        "interval over cases and seeds, is that of the other cases.",
        "",
        *summary["verdict"],
    ]
    if summary["overrides"]:
        overrides = " ".join(map(shlex.quote, summary["overrides"]))
        lines += ["", "Chosen:", f"  segkit train DATASET {overrides}"]
    return lines


def _row(each: dict[str, Any]) -> list[Cell]:
    quoted = each["quoted"]
    ends = (quoted["low"], quoted["high"]) if quoted["cases"] > 1 else (None, None)
    cost = f"{each['cost']:.3g}"
    return [each["name"], each["arm"], cost, each["choose"], quoted["mean"], *ends]
