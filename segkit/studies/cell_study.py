"""A study of cells, from the words that were typed to its report.

All such studies do the same: check the words, plan once for all cells, run the cells that are not
finished, write the report, also on a study that is stopped. They differ in their settings, their
cells and their report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic

from segkit.config.schema import TrainConfig
from segkit.config.study_words import given_settings
from segkit.errors import Interrupted
from segkit.progress import CaseProgress
from segkit.studies.cells import CellResult, StudyCell, finished_cells, run_cells
from segkit.studies.study_folder import (
    check_validation_cases,
    continued_config,
    finish_study,
    open_study,
    started_study,
)
from segkit.studies.study_overrides import S, StudyKind
from segkit.training.setup import Setup

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CellStudy(Generic[S]):
    """Study of cells: its settings, its cells and its report."""

    kind: StudyKind[S]
    """Its name, its settings, and the overrides that it sets itself."""
    shared: Callable[[TrainConfig, S, Sequence[str]], TrainConfig]
    """Function from configuration, settings and overrides to the configuration from which the plan
    of all cells is made."""
    cells: Callable[[Setup, S], list[StudyCell]]
    """Function that returns all cells, in the order in which they are run."""
    report: Callable[[Setup, S, Sequence[CellResult], int], None]
    """Function that writes the report on the results so far, of so many cells."""
    start_files: Sequence[str] = ()
    """Names of the files that ``cells`` writes, which a start that fails removes again."""

    def run(
        self, words: Sequence[str], progress: CaseProgress | None = None
    ) -> tuple[Path, list[CellResult]]:
        """Run the cells that are not finished; return the study's folder and all results.

        The same call continues an unfinished study. One that is stopped has a report on the cells
        that are finished.

        Args:
            words: KEY=VALUE settings of the trainings, and ``study.KEY=VALUE`` of the study.
            progress: called while cases are measured.

        Raises:
            UsageError: an override or a setting that makes no sense.
            InputError: a dataset or case that cannot be used.
            Interrupted: Ctrl-C or SIGTERM; the same call continues the study.
        """
        overrides, settings, _ = self.kind.read_words(words)
        name = self.kind.name
        config = self.shared(continued_config(name, overrides), settings, overrides)
        study = open_study(
            name,
            config,
            overrides,
            settings=settings.identity,
            check=partial(check_validation_cases, config=config),
            progress=progress,
        )
        with started_study(study, name, given_settings(settings), self.start_files):
            results = self._run_cells(study, settings)
            if all(result.status == "done" for result in results):
                finish_study(study, {"cells": len(results)})
        return study.run_dir, results

    def _run_cells(self, study: Setup, settings: S) -> list[CellResult]:
        """Run the cells, and write the report on all of them or, after a signal, on some."""
        cells = self.cells(study, settings)
        log.info("%d cells; the study is in %s", len(cells), study.run_dir)
        try:
            results = run_cells(study.run_dir, cells)
        except Interrupted:
            if finished := finished_cells(study.run_dir, cells):
                self.report(study, settings, finished, len(cells))
            raise
        self.report(study, settings, results, len(cells))
        return results
