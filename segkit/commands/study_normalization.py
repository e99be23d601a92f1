"""segkit study normalization: the same network with different norms, batch sizes and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.commands.cell_study import CellStudyCommand
from segkit.report.tables import Cell, text_table
from segkit.studies.cells import CellResult
from segkit.studies.normalization.settings import NORMALIZATION, NormalizationSettings

DETAILS = """\
Every norm is trained at every batch size with every seed. All trainings follow one plan, see the
same number of patches, and have the same precision and memory format, which are measured once.
In each cell Dice is measured at overlap 0, 0.25 and 0.5, with running statistics and with those of
a batch, and so are tile mismatch, convergence, gradients, statistics of every layer, time and
memory. The verdicts of report.html follow from intervals over cases and seeds.
The same command continues an unfinished study; finished cells are not run again. A cell that fails
is reported, and the others go on. More seeds, norms or batch sizes (up to the largest one) add
cells to the same study.
"""


def run(arguments: Sequence[str]) -> int:
    """Train and measure, print verdicts and paths, and return the exit code.

    Raises:
        SomeCasesFailed: some cells have no result; the others are done.
    """
    command = CellStudyCommand(
        NORMALIZATION,
        _study,
        description="Compare normalization layers at several batch sizes: Dice, seams between "
        "windows, convergence, gradients, memory and time.",
        details=DETAILS,
        size=_size,
        lines=summary_lines,
    )
    return command.run(arguments)


def _study(*words: str, **options: Any) -> tuple[Path, list[CellResult]]:
    return segkit.studies.study_normalization(*words, **options)


def _size(settings: NormalizationSettings) -> str:
    return f"{len(settings.trainings())} trainings of {settings.samples} patches each"


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the table of the arms, and the verdict."""
    header = ["norm", "batch size", "Dice", "low", "high", "gap", "seconds per step"]
    return [
        text_table(header, [_row(arm) for arm in summary["arms"]]),
        "Dice has 95 % intervals over cases and seeds; one case cannot tell. The gap is Dice with "
        "running\nstatistics minus Dice with those of a batch.",
        "",
        *summary["verdict"],
    ]


def _row(arm: dict[str, Any]) -> list[Cell]:
    dice, gap = arm["dice"] or {}, arm["train_eval_gap"] or {}
    return [
        arm["norm"],
        arm["batch_size"],
        dice.get("mean"),
        *(dice[name] if dice.get("cases", 0) > 1 else None for name in ("low", "high")),
        gap.get("mean"),
        arm["seconds_per_step"],
    ]
