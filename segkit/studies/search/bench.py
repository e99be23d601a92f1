"""Trainings of a search: a configuration, a number of steps and a seed give one cell.

Each is the training that ``segkit train`` does with the same overrides, in the precision, memory
format and number of steps of the study. Dice is measured on all validation cases of the fold, each
of which is for choosing or for quoting (`segkit.studies.search.choice`).
"""

from __future__ import annotations

import dataclasses
import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import read_bundle
from segkit.preprocessing.case_store import PreparedCase
from segkit.report.tables import Cell
from segkit.studies.cells import RESULTS, StudyCell, Tables
from segkit.studies.pruning.comparison import validated
from segkit.studies.scaling.candidate import Candidate, Frame
from segkit.studies.scaling.cell import config_of
from segkit.studies.scaling.costs import Cost
from segkit.studies.study_folder import arm, train_arm, training_facts
from segkit.training.compute.device import device_for
from segkit.training.outputs.run_folder import CHECKPOINTS
from segkit.training.setup import Setup

COSTS = "costs"
"""Name of the table of costs."""
MEASURES_VERSION = 1
"""Number that changes when a cell measures something else."""


@dataclass(frozen=True)
class Bench:
    """Everything that all trainings of a search share."""

    study: Setup
    """The study, with precision, memory format and the largest number of steps fixed."""
    frame: Frame
    cost_of: Callable[[Candidate], Cost]
    """Function that predicts the cost of a configuration."""
    cases: Sequence[PreparedCase]
    """The validation cases."""
    roles: Mapping[str, str]
    """Use of each case by its id: for choosing or for quoting."""

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return self.study.run_dir

    @property
    def facts(self) -> list[Any]:
        """Everything that all trainings have in common, in JSON types."""
        cost = dataclasses.asdict(self.cost_of(self.frame.candidate()))  # with the rates used
        roles = dict(sorted(self.roles.items()))
        return [training_facts(self.study), cost, roles, MEASURES_VERSION]

    @property
    def steps(self) -> int:
        """Steps of the longest trainings."""
        return self.study.config.trainer.max_steps or 1

    def cell(self, candidate: Candidate, *, steps: int, seed: int) -> StudyCell:
        """Return the training of a configuration as a cell."""
        name = f"{candidate.name}_steps{steps}_seed{seed}"
        run = self._run(name, candidate, steps=steps, seed=seed)
        content = {
            "training": training_facts(run),
            "roles": dict(sorted(self.roles.items())),
            "measures": MEASURES_VERSION,
        }
        facts = candidate_facts(candidate, steps=steps, seed=seed)
        return StudyCell(name, facts, content, lambda folder: self._compute(run, candidate, folder))

    def _run(self, name: str, candidate: Candidate, *, steps: int, seed: int) -> Setup:
        config = config_of(self.study.config, candidate, steps=steps, seed=seed)
        return arm(self.study, name, config, self.frame.plan_of(candidate))

    def _compute(self, run: Setup, candidate: Candidate, folder: Path) -> Tables:
        """Train in ``folder``, measure, and return the tables of the cell."""
        train_arm(run)
        rows = self._dice_rows(run)
        # Checkpoints have several times the size of the model, and a finished run needs none.
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        gc.collect()
        cost = dataclasses.asdict(self.cost_of(candidate))
        return {RESULTS: rows, COSTS: [cost]}

    def _dice_rows(self, run: Setup) -> list[dict[str, Cell]]:
        precision, device = run.config.trainer.precision, device_for(run.config)
        score = validated(read_bundle(run.run_dir), self.cases, precision=precision, device=device)
        return [
            {"role": self.roles[case], "case": case, "label": label, "dice": dice}
            for case, labels in score.per_case.items()
            for label, dice in labels.items()
        ]


def candidate_facts(candidate: Candidate, *, steps: int, seed: int) -> dict[str, Cell]:
    """Return the columns that come first in the tables of a training."""
    return {
        "configuration": candidate.name,
        "widths": "-".join(map(str, candidate.widths)),
        "convs": candidate.convs,
        "patch": "x".join(map(str, candidate.patch)),
        "channels_per_group": candidate.channels_per_group,
        "steps": steps,
        "seed": seed,
    }


def candidate_of(facts: Mapping[str, Cell]) -> Candidate:
    """Return the configuration of a training from its columns.

    >>> candidate = Candidate((16, 32), 2, (24, 24, 16), 2)
    >>> candidate_of(candidate_facts(candidate, steps=10, seed=0)) == candidate
    True
    """
    x, y, z = (int(edge) for edge in str(facts["patch"]).split("x"))
    size = facts["channels_per_group"]
    return Candidate(
        tuple(int(width) for width in str(facts["widths"]).split("-")),
        int(str(facts["convs"])),
        (x, y, z),
        None if size is None else int(str(size)),
    )
