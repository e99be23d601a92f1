"""Symmetry study: does a network with built-in symmetry need fewer training cases?

A plain U-Net, the same one trained on patches that random elements of a group move, and equivariant
U-Nets with about as many multiply-adds and as many parameters are trained on nested sets of cases.
All of them share patch, spacing, precision and number of patches. Each is measured on scans in
every pose of the group. Files of a study, besides those of `segkit.studies.cells` and
`segkit.studies.study_folder`:

<group>_<arm>-cases<N>-seed<S>/   the run of each training
results.csv                       Dice by case, label and pose, equivariance errors, times; tidy
summary.json                      networks with their counts, Dice with intervals, verdicts
report.html, *.png, *.svg         the same for reading
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.config.study_words import given_settings
from segkit.files.atomic import write_text
from segkit.progress import CaseProgress
from segkit.studies.cell_study import CellStudy
from segkit.studies.cells import CellResult, StudyCell
from segkit.studies.symmetry.cells import study_cells
from segkit.studies.symmetry.figures import write_figures
from segkit.studies.symmetry.plans import StudyPlans, is_matched, shared_config, study_plans
from segkit.studies.symmetry.report import report_page
from segkit.studies.symmetry.settings import SYMMETRY, SymmetrySettings
from segkit.studies.symmetry.summary import Question, Results, dice_summary
from segkit.studies.symmetry.tables import network_facts
from segkit.studies.symmetry.verdicts import COUNTS, amount, headline, title
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

SUMMARY, REPORT = "summary.json", "report.html"


def study_symmetry(
    *words: str, progress: CaseProgress | None = None
) -> tuple[Path, list[CellResult]]:
    """Train and measure every arm with every number of cases and seed; return folder and results.

    The same call continues an unfinished study: finished cells are not run again. More seeds,
    numbers of training cases or matches add cells to the same study. Arguments and errors are those
    of `segkit.studies.cell_study.CellStudy.run`.
    """
    found: list[StudyPlans] = []

    def cells(study: Setup, settings: SymmetrySettings) -> list[StudyCell]:
        found.append(study_plans(study, settings))
        for sentence in mismatches(found[0]):
            log.warning("%s", sentence)
        return study_cells(study, settings, found[0])

    def report(
        study: Setup, settings: SymmetrySettings, results: Sequence[CellResult], count: int
    ) -> None:
        write_report(study, settings, found[0], results, count)

    return CellStudy(SYMMETRY, shared_config, cells, report).run(words, progress)


def mismatches(plans: StudyPlans) -> list[str]:
    """Return a sentence for each equivariant network whose count is far from the plain one's."""
    return [
        f"{arm.symmetry} has {amount(plans.ratio(arm))} {COUNTS[arm.kind]} of the plain network "
        f"with channels {list(plans.widths(arm))}, the nearest found. To match them, give "
        "wider study.features."
        for arm in plans.arms
        if arm.is_equivariant and not is_matched(plans.ratio(arm))
    ]


def write_report(
    study: Setup,
    settings: SymmetrySettings,
    plans: StudyPlans,
    cells: Sequence[CellResult],
    count: int,
) -> None:
    """Write summary.json, the figures and report.html.

    Args:
        study: the study.
        settings: its settings.
        plans: plans of its arms.
        cells: results of the cells that were run so far.
        count: number of all cells of the study.
    """
    folder, results = study.run_dir, Results(settings, plans, cells)
    facts = network_facts(plans, results)
    summary = {
        "dataset": study.dataset.name,
        "settings": given_settings(settings),
        "verdict": headline(results),
        "networks": facts,
        "dice": list(dice_summary(results)),
        "comparisons": [
            row for question in results.questions() for row in _as_json(question, plans)
        ],
        "failed": [
            {"cell": result.cell.name, "status": result.status, "message": result.message}
            for result in cells
            if result.status != "done"
        ],
    }
    write_text(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    pictures = write_figures(folder, results)
    page = report_page(study, results, cells, facts, pictures, count=count)
    write_text(folder / REPORT, page)


def _as_json(question: Question, plans: StudyPlans) -> list[dict[str, Any]]:
    return [
        {
            "comparison": title(question, plans.ratio(question.arm)),
            "pose": question.pose,
            "training_cases": count,
            "difference": None if found is None else dataclasses.asdict(found),
        }
        for count, found in question.differences.items()
    ]
