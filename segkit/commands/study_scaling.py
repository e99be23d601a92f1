"""segkit study scaling: networks of a family under a budget, against other ways to scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.commands.cell_study import CellStudyCommand
from segkit.report.tables import Cell, text_table
from segkit.studies.cells import CellResult
from segkit.studies.scaling.settings import SCALING, ScalingSettings

DETAILS = """\
Width, depth, patch and channels per group are scaled together by one exponent, so that every step
doubles the multiply-adds (compound scaling). XL is the largest network within the budget, and L, M
and S take half as many multiply-adds each. At least one budget is needed; no network exceeds any.
They are compared with networks of the same cost that were made larger along one axis alone, or
have equal widths in all stages. Predicted and measured costs are shown side by side, before the
first training; with study.train=false nothing is trained. The report prints the command that
trains each network. The same command continues an unfinished study; finished cells are not run
again. A cell that fails is reported, and the others go on. More sizes, ways or seeds add cells.
"""


def run(arguments: Sequence[str]) -> int:
    """Measure and train, print networks, verdicts and paths, and return the exit code.

    Raises:
        SomeCasesFailed: some cells have no result; the others are done.
    """
    command = CellStudyCommand(
        SCALING,
        _study,
        description="Scale width, depth, patch and channels per group together within a budget, "
        "and compare with other ways to spend it.",
        details=DETAILS,
        size=_size,
        lines=summary_lines,
    )
    return command.run(arguments)


def _study(*words: str, **options: Any) -> tuple[Path, list[CellResult]]:
    return segkit.studies.study_scaling(*words, **options)


def _size(settings: ScalingSettings) -> str:
    if not settings.train:
        return "costs are measured, and nothing is trained"
    networks = len(settings.sizes) * len(settings.ways)
    return f"up to {networks * len(settings.seeds)} trainings of {networks} networks"


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the table of the networks, the verdict, and the commands of the compound ones."""
    header = ["size", "way", "multiply-adds", "GB", "s/step", "s/scan", "Dice", "low", "high"]
    commands = [
        f"  {name.partition(' ')[0]:<4} {text}"
        for name, text in summary["commands"].items()
        if name.endswith(" compound")
    ]
    return [
        text_table(header, [_row(network) for network in summary["networks"]]),
        "Costs are measured, and predicted where they were not; Dice has 95 % intervals over cases"
        "\nand seeds.",
        "",
        *summary["verdict"],
        *(["", "Train one of them with:", *commands] if commands else []),
    ]


def _row(network: dict[str, Any]) -> list[Cell]:
    dice, costs = network["dice"] or {}, network["predicted"] | network["measured"]
    memory = costs["memory"]
    return [
        network["size"],
        network["way"],
        f"{costs['multiply_adds'] / 1e9:.2f} G",
        None if memory is None else memory / 1e9,
        costs["step_seconds"],
        costs["seconds"],
        dice.get("mean"),
        *(dice[name] if dice.get("cases", 0) > 1 else None for name in ("low", "high")),
    ]
