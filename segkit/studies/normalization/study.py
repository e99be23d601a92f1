"""Normalization study: the same U-Net with different norms, batch sizes and seeds, measured alike.

All trainings follow one plan, made for the largest batch, and share patch, precision, memory format
and the number of patches that they see. With ``study.match=steps`` small batches are accumulated,
so that the number of optimizer steps is the same as well. The loss is still computed over a batch,
so that also a norm without batch statistics trains a little differently at another batch size.
Files of a study, besides those of `segkit.studies.cells` and `segkit.studies.study_folder`:

<norm>-batch<B>-seed<S>/    the run of each training
results.csv                 measurements of every cell, tidy
convergence.csv             loss and Dice over each training
layers.csv                  gradients, pools and spread of the statistics of every layer
summary.json                means with intervals, differences, verdicts
report.html, *.png, *.svg   the same for reading
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from segkit.config.study_words import given_settings
from segkit.files.atomic import write_text
from segkit.progress import CaseProgress
from segkit.studies.cell_study import CellStudy
from segkit.studies.cells import CellResult, StudyCell
from segkit.studies.normalization.arms import arm_plan, shared_config, study_cells
from segkit.studies.normalization.figures import write_figures
from segkit.studies.normalization.report import report_page
from segkit.studies.normalization.settings import NORMALIZATION, NormalizationSettings
from segkit.studies.normalization.summary import comparisons, rows_by_arm, summary_of
from segkit.studies.normalization.verdicts import headline
from segkit.studies.study_folder import arm, measured_for_all
from segkit.training.setup import Setup

SUMMARY, REPORT = "summary.json", "report.html"


def study_normalization(
    *words: str, progress: CaseProgress | None = None
) -> tuple[Path, list[CellResult]]:
    """Train and measure every norm at every batch size with every seed; return folder and results.

    The same call continues an unfinished study: finished cells are not run again. More norms, batch
    sizes or seeds add cells to the same study, as long as the largest batch stays the same.
    Arguments and errors are those of `segkit.studies.cell_study.CellStudy.run`.
    """
    study = CellStudy(NORMALIZATION, shared_config, _cells, write_report)
    return study.run(words, progress)


def _cells(study: Setup, settings: NormalizationSettings) -> list[StudyCell]:
    """Return the cells, after precision and memory format of all of them were measured once."""
    first = arm(study, "first", study.config, arm_plan(study.plan, study.config))
    timing = measured_for_all(study.run_dir, first, "cells")
    common = study.config if timing is None else timing.applied_to(study.config)
    return study_cells(study, settings, common)


def write_report(
    study: Setup, settings: NormalizationSettings, results: Sequence[CellResult], cells: int
) -> None:
    """Write summary.json, the figures and report.html.

    Args:
        study: the study.
        settings: its settings.
        results: results of the cells that were run so far.
        cells: number of all cells of the study.
    """
    folder = study.run_dir
    found = comparisons(settings, rows_by_arm(results))
    summary = {
        "dataset": study.dataset.name,
        "settings": given_settings(settings),
        "verdict": headline(settings, found),
        **summary_of(settings, results, found),
    }
    write_text(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    pictures = write_figures(folder, settings, results)
    page = report_page(study, settings, results, found, pictures, cells=cells)
    write_text(folder / REPORT, page)
