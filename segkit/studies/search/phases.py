"""Phases of the study: search, random search, longer trainings of the better halves, seeds.

Every training is a cell. Each phase begins when all cells of the one before are finished, also
those that other processes run; a process that joins later finds the finished cells and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segkit.studies.cells import CellResult, StudyCell
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.search.batches import trained_of
from segkit.studies.search.fidelity import Scored, better_half, ranked, rung_steps
from segkit.studies.search.points import SAMPLERS, SEARCH, Points, chosen_dice
from segkit.studies.search.search import LOST
from segkit.studies.search.settings import RANDOM
from segkit.studies.search.trials import Record


@dataclass(frozen=True)
class Rung:
    """Trainings of some configurations for the same number of steps."""

    steps: int
    results: Mapping[str, CellResult]
    """Result by name of the configuration."""


@dataclass(frozen=True)
class Arm:
    """A way to find configurations, with all trainings of the ones that it found."""

    name: str
    candidates: Mapping[str, Candidate]
    """Configuration by name."""
    rungs: Sequence[Rung]
    """Trainings with the first seed; the last rung has all steps."""
    records: Sequence[Record] = ()
    """Points of a search, those over budget among them."""


@dataclass(frozen=True)
class Outcome:
    """Everything that was trained."""

    arms: Sequence[Arm]
    finalists: Mapping[str, str] = field(default_factory=dict)
    """Configurations that were trained with all seeds, each with the arm that it is the best of."""
    seeds: Mapping[tuple[str, int], CellResult] = field(default_factory=dict)
    """Results of the finalists by name and seed."""

    def arm(self, name: str) -> Arm | None:
        """Return the arm of a name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def candidates(self) -> dict[str, Candidate]:
        """All configurations by name."""
        return {name: each for arm in self.arms for name, each in arm.candidates.items()}

    @property
    def results(self) -> list[CellResult]:
        """Results of all trainings, each once."""
        rungs = [
            result for arm in self.arms for rung in arm.rungs for result in rung.results.values()
        ]
        return list(
            {result.cell.name: result for result in [*rungs, *self.seeds.values()]}.values()
        )


@dataclass(frozen=True)
class Phases:
    """The phases of a study, one after the other."""

    points: Points
    """Makes its searches; its bench and its way to run cells are those of all phases."""

    @property
    def _steps(self) -> list[int]:
        """Steps of the rungs of the searches."""
        return rung_steps(self.points.bench.steps, self.points.settings.rungs)

    def check(self) -> None:
        """Check that the folder holds no search with other settings or on other data.

        Raises:
            InputError: it does, or a damaged file.
        """
        self.points.search(SEARCH, self._steps[0])

    def run(self, baselines: Mapping[str, Sequence[Candidate]]) -> Outcome:
        """Run all phases and return the outcome.

        Args:
            baselines: configurations of the other baselines by name.
        """
        arms = [self._searched(SEARCH)]
        if RANDOM in self.points.settings.chosen_baselines:
            arms.append(self._searched(RANDOM))
        arms += [self._trained(name, candidates) for name, candidates in baselines.items()]
        finalists = self._finalists(arms)
        return Outcome(arms, finalists, self._over_seeds(Outcome(arms).candidates, finalists))

    def _searched(self, name: str) -> Arm:
        """Return an arm whose points are proposed, with its rungs."""
        steps = self._steps
        records = self.points.search(name, steps[0]).run()
        candidates = {
            record.name: self.points.configurations.candidate(record.point)
            for record in trained_of(records)
        }
        rungs = [self._first_rung(records, candidates, steps[0])]
        for longer in steps[1:]:
            half = better_half(self._scored(rungs[-1], candidates), by_front=self.points.by_front)
            rungs.append(self._rung([candidates[each.name] for each in half], longer))
        return Arm(name, candidates, rungs, records)

    def _first_rung(
        self, records: Sequence[Record], candidates: Mapping[str, Candidate], steps: int
    ) -> Rung:
        """Return the trainings of all points; those that failed are not tried once more."""
        failed = {record.name: record for record in records if record.state == "failed"}
        done = [candidate for name, candidate in candidates.items() if name not in failed]
        results = dict(self._rung(done, steps).results)
        for name, record in failed.items():
            cell = self._cell(candidates[name], steps)
            results[name] = CellResult(cell, "failed", message=record.message or LOST)
        return Rung(steps, results)

    def _trained(self, name: str, candidates: Sequence[Candidate]) -> Arm:
        """Return an arm of given configurations, trained for all steps."""
        by_name = {candidate.name: candidate for candidate in candidates}
        return Arm(name, by_name, [self._rung(list(by_name.values()), self.points.bench.steps)])

    def _rung(self, candidates: Sequence[Candidate], steps: int) -> Rung:
        results = self.points.run_cells([self._cell(each, steps) for each in candidates])
        names = [candidate.name for candidate in candidates]
        return Rung(steps, dict(zip(names, results, strict=True)))

    def _cell(self, candidate: Candidate, steps: int) -> StudyCell:
        """Return the training of a configuration with the seed of the search."""
        return self.points.bench.cell(candidate, steps=steps, seed=self.points.settings.seeds[0])

    def _scored(self, rung: Rung, candidates: Mapping[str, Candidate]) -> list[Scored]:
        """Return the configurations of a rung that have a result."""
        return [
            Scored(name, dice, self.points.configurations.cost(candidates[name]))
            for name, result in rung.results.items()
            if (dice := chosen_dice(result)) is not None
        ]

    def _finalists(self, arms: Sequence[Arm]) -> dict[str, str]:
        """Return the best configurations of both searches, and the best one of each other arm."""
        finalists: dict[str, str] = {}
        for arm in arms:
            scored = self._scored(arm.rungs[-1], arm.candidates)
            # Random search gets as many second looks as the search, or it would lose by chance.
            count = self.points.settings.top if arm.name in SAMPLERS else 1
            by_front = self.points.by_front and arm.name in SAMPLERS
            for each in ranked(scored, by_front=by_front)[:count]:
                finalists.setdefault(each.name, arm.name)
        return finalists

    def _over_seeds(
        self, candidates: Mapping[str, Candidate], finalists: Mapping[str, str]
    ) -> dict[tuple[str, int], CellResult]:
        keys = [(name, seed) for name in finalists for seed in self.points.settings.seeds]
        cells = [
            self.points.bench.cell(candidates[name], steps=self.points.bench.steps, seed=seed)
            for name, seed in keys
        ]
        return dict(zip(keys, self.points.run_cells(cells), strict=True))
