"""segkit study symmetry: does built-in symmetry save training cases, and does it hold poses?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.commands.cell_study import CellStudyCommand
from segkit.report.tables import Cell, text_table
from segkit.studies.cells import CellResult
from segkit.studies.symmetry.settings import SYMMETRY, SymmetrySettings

DETAILS = """\
Trains on nested sets of training cases, with several seeds, and for each group:
  plain          a U-Net
  augmented      the same, on patches that random elements of the group move; measured alone, and
                 averaged over all elements in prediction
  multiply_adds  an equivariant U-Net with about as many multiply-adds as the plain one
  parameters     an equivariant U-Net with about as many parameters as the plain one
All with one patch, spacing, precision and number of patches. Dice is measured on held-out cases as
they are, and in the mean and the worst of all poses of the group. The verdicts of report.html
follow from intervals over cases and seeds.
The same command continues an unfinished study; finished cells are not run again. A cell that fails
is reported, and the others go on. More seeds, numbers of training cases or matches add cells to the
same study.
"""


def run(arguments: Sequence[str]) -> int:
    """Train and measure, print tables, verdicts and paths, and return the exit code.

    Raises:
        SomeCasesFailed: some cells have no result; the others are done.
    """
    command = CellStudyCommand(
        SYMMETRY,
        _study,
        description="Compare plain, augmented and equivariant networks over numbers of training "
        "cases: Dice in the pose of the scans and in all poses of a group.",
        details=DETAILS,
        size=_size,
        lines=summary_lines,
    )
    return command.run(arguments)


def _study(*words: str, **options: Any) -> tuple[Path, list[CellResult]]:
    return segkit.studies.study_symmetry(*words, **options)


def _size(settings: SymmetrySettings) -> str:
    each = f"trainings of {settings.samples} patches each"
    number = len(settings.arms) * len(settings.seeds)
    if isinstance(settings.training_cases, str):
        return f"{number} {each}, for every number of training cases"
    return f"{number * len(settings.training_cases)} {each}"


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the tables of networks and of Dice, and the verdict."""
    networks = ["group", "arm", "channels", "multiply-adds", "of plain", "parameters", "of plain"]
    dice = ["group", "network", "training cases", "canonical", "mean", "worst pose"]
    return [
        text_table(networks, [_network(one) for one in summary["networks"]]),
        "",
        text_table(dice, _dice(summary["dice"])),
        "Dice is the mean over labels, held-out cases and seeds; report.html has the intervals.",
        "",
        *summary["verdict"],
    ]


def _network(one: dict[str, Any]) -> list[Cell]:
    return [
        one["group"] or "-",
        one["arm"],
        ",".join(map(str, one["widths"])),
        one["multiply_adds"],
        f"{one['multiply_adds_ratio']:.2f}",
        one["parameters"],
        f"{one['parameters_ratio']:.2f}",
    ]


def _dice(rows: Sequence[dict[str, Any]]) -> list[list[Cell]]:
    found: dict[tuple[Cell, ...], dict[str, Cell]] = {}
    for row in rows:
        if not row["label"]:
            key = (row["group"], row["line"], row["training_cases"])
            found.setdefault(key, {})[row["pose"]] = row["mean"]
    poses = ("canonical", "mean", "worst")
    return [[*key, *(means.get(pose) for pose in poses)] for key, means in found.items()]
