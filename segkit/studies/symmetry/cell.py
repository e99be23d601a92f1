"""One cell of the symmetry study: a training, and what is measured of its network."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segkit.plans.plan import SymmetryPlan
from segkit.plans.symmetry import Element
from segkit.studies.cells import RESULTS, Row, Tables
from segkit.studies.normalization.convergence import convergence_measurements
from segkit.studies.normalization.trained_cell import TrainedCell, open_cell
from segkit.studies.study_folder import train_arm
from segkit.studies.symmetry.poses import largest_error, pose_rows
from segkit.training.outputs.run_folder import CHECKPOINTS
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

SECONDS, ERROR = "seconds_per_step", "equivariance_error"
"""Measures of a training; the second one for each group."""


@dataclass(frozen=True)
class SymmetryCell:
    """A training of the study and the poses in which its network is measured."""

    setup: Setup
    groups: tuple[SymmetryPlan, ...]
    """Groups whose equivariance error is measured."""
    poses: tuple[Element, ...]
    """Elements by which the scans are moved, those of all groups; the first moves nothing."""
    swaps: tuple[tuple[str, str], ...]
    """Pairs of labels that reflections exchange."""
    average: bool
    """True if the mean over all poses is measured too."""
    cases: int
    """Most validation cases that are measured."""

    def compute(self, folder: Path) -> Tables:
        """Train in ``folder``, measure, and return the tables of the cell."""
        train_arm(self.setup)
        rows = list(self._rows(folder))
        # Checkpoints have several times the size of the model, and a finished run needs none.
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        return {RESULTS: rows}

    def _rows(self, folder: Path) -> Iterator[Row]:
        cell = self._opened(folder)
        log.info("measuring %d cases in %d poses", len(cell.cases[: self.cases]), len(self.poses))
        for case in cell.cases[: self.cases]:
            yield from pose_rows(cell, case, self.poses, average=self.average)
        for group in self.groups:
            yield {"measure": ERROR, "value": largest_error(cell, group), "group": group.group}
        yield {"measure": SECONDS, "value": seconds_per_step(cell)}

    def _opened(self, folder: Path) -> TrainedCell:
        """Return the trained network with a plan whose reflections exchange left and right."""
        cell = open_cell(folder)
        return dataclasses.replace(
            cell, plan=dataclasses.replace(cell.plan, mirror_swaps=self.swaps)
        )


def seconds_per_step(cell: TrainedCell) -> float:
    """Return the median time of a training step in seconds."""
    labels = list(cell.plan.labels)
    measured = convergence_measurements(cell.run_dir, labels, cell.samples_per_step)
    return next(one.value for one in measured if one.measure == SECONDS)
