"""All phases of a search on a formula in place of trainings, and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segkit.config.compose import load
from segkit.config.study_words import given_settings
from segkit.errors import InputError, SomeCasesFailed
from segkit.studies.cells import RESULTS, StudyCell, Tables, check_all_done
from segkit.studies.scaling.candidate import Candidate, Frame
from segkit.studies.scaling.compound import exponents
from segkit.studies.scaling.costs import Mode
from segkit.studies.scaling.family import Family
from segkit.studies.search.bench import candidate_facts
from segkit.studies.search.choice import CHOOSE, QUOTE
from segkit.studies.search.phases import Outcome, Phases
from segkit.studies.search.points import SEARCH, Points
from segkit.studies.search.report import write_report
from segkit.studies.search.settings import RANDOM, SearchSettings
from segkit.studies.search.shared import run_shared
from segkit.studies.search.study import baselines_of, take_up
from segkit.training.outputs.run_folder import read_study, write_study
from tests.studies.scaling.conftest import frame_for

ROLES = {"a": CHOOSE, "b": CHOOSE, "c": QUOTE, "d": QUOTE}
SETTINGS = SearchSettings(macs=3e9, trials=8, batch=4, top=2, seeds=(0, 1))


def dice(candidate: Candidate, steps: int, seed: int, case: str) -> float:
    """Dice that grows with steps, is best at width 32, and is higher on cases for choosing."""
    width = -1e-3 * abs(candidate.widths[0] - 32) - 0.02 * abs(candidate.convs - 3)
    return 0.8 + width + 1e-4 * steps + 1e-3 * seed + 0.02 * (ROLES[case] == CHOOSE)


@dataclass(frozen=True)
class FormulaBench:
    """A bench whose trainings are a formula."""

    folder: Path
    family: Family
    trained: list[str]
    steps: int = 400
    fails_at: int = 48
    """Channels of the first stage of the networks whose trainings fail."""
    roles = ROLES
    facts = ("formula",)
    study = SimpleNamespace(
        dataset=SimpleNamespace(name="formula"),
        plan=SimpleNamespace(batch_size=2),
        config=load(
            [
                *("dataset=scans of formula", "plan.spacing=[2,2,2]", "trainer.max_minutes=9"),
                *("trainer.precision=float32", "trainer.layout=contiguous"),
            ]
        ),
    )

    @property
    def frame(self) -> Frame:
        return self.family.frame

    def cost_of(self, candidate: Candidate) -> Any:
        return self.family.cost(candidate)

    def cell(self, candidate: Candidate, *, steps: int, seed: int) -> StudyCell:
        name = f"{candidate.name}_steps{steps}_seed{seed}"

        def run(_folder: Path) -> Tables:
            self.trained.append(name)
            if candidate.widths[0] == self.fails_at:
                raise MemoryError("out of memory")
            rows = [
                {
                    "role": role,
                    "case": case,
                    "label": "l",
                    "dice": dice(candidate, steps, seed, case),
                }
                for case, role in ROLES.items()
            ]
            return {RESULTS: rows}

        facts = candidate_facts(candidate, steps=steps, seed=seed)
        return StudyCell(name, facts, {"formula": name}, run)


@pytest.fixture(scope="module")
def family() -> Family:
    frame = frame_for((35, 50, 36))
    return Family(frame, exponents(3), Mode())


def run(folder: Path, family: Family) -> tuple[FormulaBench, Outcome]:
    bench: Any = FormulaBench(folder, family, [])
    phases = Phases(Points(bench, SETTINGS, partial(run_shared, folder)))
    return bench, phases.run(baselines_of(family, SETTINGS))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, family: Family) -> tuple[Any, Outcome]:
    bench, outcome = run(tmp_path_factory.mktemp("search"), family)
    bench.folder.joinpath("trained.txt").write_text("\n".join(bench.trained))
    return bench, outcome


def test_every_rung_trains_the_better_half_of_the_one_before(done: tuple[Any, Outcome]) -> None:
    _, outcome = done
    rungs = outcome.arm(SEARCH).rungs
    assert [rung.steps for rung in rungs] == [100, 200, 400]
    assert [len(rung.results) for rung in rungs] == [8, 4, 2]
    for fewer, more in pairwise(rungs):
        score = {
            name: dice(outcome.candidates[name], fewer.steps, 0, "a") for name in fewer.results
        }
        left_behind = set(fewer.results) - set(more.results)
        assert min(score[name] for name in more.results) >= max(score[n] for n in left_behind)


def test_random_search_starts_alike_and_costs_as_many_trainings(done: tuple[Any, Outcome]) -> None:
    _, outcome = done
    own, random = outcome.arm(SEARCH), outcome.arm(RANDOM)
    points = [[r.point for r in arm.records if r.state == "done"] for arm in (own, random)]
    assert points[0][:4] == points[1][:4]  # half of the trials, at most 10
    assert points[0] != points[1]
    assert [len(rung.results) for rung in random.rungs] == [8, 4, 2]


def test_nothing_is_over_the_budget(done: tuple[Any, Outcome]) -> None:
    bench, outcome = done
    costs = [bench.cost_of(candidate) for candidate in outcome.candidates.values()]
    assert all(SETTINGS.budget.fits(cost) for cost in costs)
    assert len(outcome.arm("uniform").candidates) == 4
    for each in outcome.arm("flat").candidates.values():
        assert len(set(each.widths)) == 1


def test_a_continued_study_trains_nothing_again(done: tuple[Any, Outcome], family: Family) -> None:
    bench, outcome = done
    assert len(set(bench.trained)) == len(bench.trained)
    again, other = run(bench.folder, family)
    assert again.trained == []
    assert other.finalists == outcome.finalists
    # The proposals do not need search.db: without it they are the same, and so are the trainings.
    (bench.folder / "search.db").unlink()
    again, other = run(bench.folder, family)
    assert again.trained == []
    assert other.finalists == outcome.finalists


def test_the_report_chooses_and_quotes_on_different_cases(done: tuple[Any, Outcome]) -> None:
    bench, outcome = done
    write_report(bench, SETTINGS, outcome)
    summary = json.loads((bench.folder / "summary.json").read_text())
    chosen = outcome.candidates[summary["chosen"]["name"]]
    assert summary["chosen"]["choose"] == pytest.approx(summary["chosen"]["quoted"]["mean"] + 0.02)
    assert set(chosen.overrides) < set(summary["overrides"])
    assert {"trainer.max_steps=400", "plan.spacing=[2.0,2.0,2.0]"} < set(summary["overrides"])
    assert not any(word.startswith(("dataset", "trainer.max_m")) for word in summary["overrides"])
    best = max(
        (name for name, arm in outcome.finalists.items() if arm == SEARCH),
        key=lambda name: dice(outcome.candidates[name], 400, 0, "a"),
    )
    assert summary["chosen"]["name"] == best
    assert set(summary["comparisons"]) == {RANDOM, "uniform", "flat"}
    page = (bench.folder / "report.html").read_text()
    assert "segkit train &#x27;dataset=scans of formula&#x27; &#x27;network.features=" in page
    for name in ("pareto", "progress_of_search"):
        assert (bench.folder / f"{name}.png").stat().st_size > 5000


def test_points_that_fail_are_results_of_the_study(tmp_path: Path, family: Family) -> None:
    settings = replace(SETTINGS, trials=4, batch=2, baselines="none")
    bench: Any = FormulaBench(tmp_path, family, [], fails_at=16)
    outcome = Phases(Points(bench, settings, partial(run_shared, tmp_path))).run({})
    states = [r.state for r in outcome.arm(SEARCH).records if r.state != "over budget"]
    failed = [result for result in outcome.results if result.status == "failed"]
    assert 0 < len(failed) == states.count("failed") <= 4
    assert {result.message for result in failed} == {"MemoryError: out of memory"}
    assert len(bench.trained) == len(set(bench.trained)) + len(failed)  # each was tried twice
    with pytest.raises(SomeCasesFailed, match=r"of \d+ trainings failed"):
        check_all_done(tmp_path, outcome.results, "trainings")


def test_random_search_has_as_many_networks_with_all_seeds(done: tuple[Any, Outcome]) -> None:
    _, outcome = done
    for name in (SEARCH, RANDOM):
        finished = outcome.arm(name).rungs[-1].results
        assert len(outcome.finalists.keys() & finished.keys()) >= SETTINGS.top


def test_other_settings_of_a_running_search_are_taken_up(done: tuple[Any, Outcome]) -> None:
    bench, _ = done
    write_study(bench.folder, "scaling_search", given_settings(SETTINGS))
    take_up(bench, replace(SETTINGS, top=5))
    assert "study.top=5" in read_study(bench.folder)["settings"]
    with pytest.raises(InputError, match="search"):
        take_up(bench, replace(SETTINGS, trials=9))
    assert "study.trials=8" in read_study(bench.folder)["settings"]


def test_trainings_that_fail_are_listed(tmp_path: Path, family: Family) -> None:
    frame = family.frame
    bench: Any = FormulaBench(tmp_path, family, [])
    good, bad = frame.candidate(width=2), frame.candidate(width=3)
    phases = Phases(Points(bench, SETTINGS, partial(run_shared, tmp_path)))
    arm = phases._trained("uniform", [good, bad])
    assert [result.status for result in arm.rungs[0].results.values()] == ["done", "out of memory"]
    assert [each.name for each in phases._scored(arm.rungs[0], arm.candidates)] == [good.name]
