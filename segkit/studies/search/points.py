"""Points of a search, each trained as a cell of the study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.studies.cells import CellResult, StudyCell
from segkit.studies.search.batches import Batches
from segkit.studies.search.bench import Bench
from segkit.studies.search.choice import CHOOSE
from segkit.studies.search.configurations import Configurations
from segkit.studies.search.optuna_parts import Direction, SamplerName
from segkit.studies.search.proposals import STARTUP, Proposer
from segkit.studies.search.search import Search
from segkit.studies.search.settings import PARETO, RANDOM, SearchSettings
from segkit.studies.search.task import Task, Trained
from segkit.studies.search.trials import Record, Trials

SEARCH = "search"
"""Name of the arm that Optuna's TPE proposes."""
SAMPLERS: Mapping[str, SamplerName] = {SEARCH: "tpe", RANDOM: "random"}
"""Arms whose points are proposed one batch after the other."""

RunAll = Callable[[Sequence[StudyCell]], list[CellResult]]
"""Function that runs the cells that are not finished and returns all results in order."""


@dataclass(frozen=True)
class Points:
    """Makes the searches of a study, on a bench and with a way to run cells."""

    bench: Bench
    settings: SearchSettings
    run_cells: RunAll
    together: int = 1
    """Number of cells that ``run_cells`` runs at a time."""

    @property
    def configurations(self) -> Configurations:
        """Configurations of the points."""
        return Configurations(self.bench.frame, self.bench.cost_of, self.settings.budget)

    @property
    def by_front(self) -> bool:
        """True if cost is an objective, too."""
        return self.settings.objective == PARETO

    def search(self, name: str, steps: int) -> Search:
        """Return the search of an arm, whose points are trained for so many steps."""
        directions: tuple[Direction, ...] = ("maximize",)
        if self.by_front:
            directions = ("maximize", "minimize")
        trials = Trials(
            self.bench.folder,
            self.settings.space,
            directions,
            name,
            content_hash([self.bench.facts, self.settings.identity, steps]),
        )
        startup = min(STARTUP, self.settings.trials // 2)
        proposer = Proposer(
            self.settings.space, directions, self.settings.seeds[0], SAMPLERS[name], startup=startup
        )
        task = Task(
            self.configurations.name_of,
            self.configurations.constraints_of,
            lambda records: self._trained(records, steps),
            self.together,
        )
        size, batch = self.settings.trials, self.settings.batch
        return Search(trials, Batches(trials, proposer, task, size=size, batch=batch), task)

    def _trained(self, records: Sequence[Record], steps: int) -> Iterator[Trained]:
        """Train the configurations of points, and yield their objectives."""
        candidates = [self.configurations.candidate(record.point) for record in records]
        cells = [
            self.bench.cell(each, steps=steps, seed=self.settings.seeds[0]) for each in candidates
        ]
        for candidate, result in zip(candidates, self.run_cells(cells), strict=True):
            dice = chosen_dice(result)
            if dice is None:
                yield Trained(None, result.message or "no case has any label")
            else:
                costs = (self.configurations.cost(candidate),) if self.by_front else ()
                yield Trained((dice, *costs))


def content_hash(parts: Sequence[Any]) -> str:
    """Return a hash of values in JSON types."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def chosen_dice(result: CellResult) -> float | None:
    """Return the mean Dice of a training on the cases for choosing; None without a result."""
    values = case_dice(result, CHOOSE).values()
    return float(np.mean(list(values))) if values else None


def case_dice(result: CellResult, role: str) -> dict[str, float]:
    """Return the mean Dice over labels of each case of a role."""
    by_case: dict[str, list[float]] = {}
    for row in result.rows():
        if row["role"] == role and row["dice"] is not None:
            by_case.setdefault(str(row["case"]), []).append(float(str(row["dice"])))
    return {case: float(np.mean(values)) for case, values in by_case.items()}
