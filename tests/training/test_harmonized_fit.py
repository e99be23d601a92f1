"""A training fits the harmonization to its own cases, stores it, and keeps it when resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from segkit.bundle.card import open_card
from segkit.config.compose import load
from segkit.dataset.dataset import Dataset
from segkit.dataset.groups import with_groups
from segkit.errors import InputError, UsageError
from segkit.harmonization.model import cases_hash
from segkit.planning.plan_dataset import open_dataset
from segkit.studies.cross_validation.folds import check_overrides
from segkit.studies.cross_validation.study import check_harmonization
from segkit.training.outputs.run_folder import training_content
from segkit.training.resume import resumed_config
from segkit.training.run import train
from segkit.training.setup import Setup, set_up
from tests.small_training import QUICK, SMALL


def words(balls: Dataset, folder: Path, *more: str) -> list[str]:
    return [f"dataset={balls.root}", f"dataset.store={folder / 'store'}", *SMALL, *QUICK, *more]


def setup_of(overrides: list[str]) -> Setup:
    config = load(overrides)
    if config.run_dir:
        config = resumed_config(config, overrides)
    return set_up(config, open_dataset(config), given=set())


def test_the_fit_is_in_run_and_bundle_and_stays(balls: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    overrides = words(balls, tmp_path, f"run_dir={run}", "plan.harmonization=nyul")
    train(*overrides)
    plan = json.loads((run / "plan.json").read_text())
    trained = json.loads((run / "split.json").read_text())["training"]
    assert plan["harmonization"]["cases"] == cases_hash(trained)
    assert open_card(run).plan.harmonization == plan["harmonization"]
    assert not any(case in json.dumps(plan) for case in trained)

    (run / "finished.json").unlink()  # as a run that was killed
    plan["harmonization"]["channels"][0]["target"][3] += 1
    (run / "plan.json").write_text(json.dumps(plan))
    resumed = setup_of(overrides)
    assert resumed.plan.harmonization == plan["harmonization"]  # not fitted anew
    with pytest.raises(InputError, match="the plan with which this run began"):
        train(*overrides, resume=True)

    of_run = [w for w in words(balls, tmp_path) if not w.startswith(("network.", "plan."))]
    own = [*of_run, f"plan={run / 'plan.json'}"]
    with pytest.raises(UsageError, match="one fold"):  # it is not that of the weights
        check_harmonization(setup_of([*own, f"weights={run}"]))
    with pytest.raises(InputError, match="another fold"):
        setup_of([*own, "fold=1"])


def test_folders_of_runs_keep_their_names(balls: Dataset, tmp_path: Path) -> None:
    names = [
        setup_of(words(balls, tmp_path, *more)).run_dir.name
        for more in ((), ("plan.harmonization=none",), ("plan.harmonization=nyul",))
    ]
    assert names[0] == names[1] != names[2]


def test_groups_that_decide_the_curves_are_in_the_name(balls: Dataset, tmp_path: Path) -> None:
    setup = setup_of(words(balls, tmp_path, "plan.harmonization=nyul"))
    grouping = {"grouping": {"source": "table"}}
    by_table = dataclasses.replace(setup.plan, harmonization=grouping)
    one, other = (
        with_groups(setup.dataset, dict.fromkeys((case.id for case in setup.dataset.cases), group))
        for group in "AB"
    )
    assert training_content(setup.config, by_table, one) != training_content(
        setup.config, by_table, other
    )
    assert training_content(setup.config, setup.plan, one) == training_content(
        setup.config, setup.plan, other
    )


def test_a_cross_validation_refuses_it(balls: Dataset, tmp_path: Path) -> None:
    overrides = words(balls, tmp_path, "plan.harmonization=nyul")
    with pytest.raises(UsageError, match=r"one fold.*--multirun fold=0,1,2,3,4"):
        check_overrides(load(overrides), overrides)


def test_a_resumed_run_keeps_its_groups(balls: Dataset, tmp_path: Path) -> None:
    cases = [case.id for case in balls.cases]
    table = tmp_path / "groups.csv"

    def write(groups: dict[str, str]) -> None:
        table.write_text("case,group\n" + "".join(f"{c},{g}\n" for c, g in groups.items()))

    began = {case: "AB"[number % 2] for number, case in enumerate(cases)}
    write(began)
    grouped = ("plan.harmonization=spline", f"dataset.groups={table}", f"run_dir={tmp_path / 'r'}")
    overrides = words(balls, tmp_path, *grouped)
    train(*overrides)
    split = json.loads((tmp_path / "r/split.json").read_text())
    assert split["groups"] == began
    (tmp_path / "r/finished.json").unlink()  # as a run that was killed

    expected = {"training": r"plan\.json.*other groups", "validation": r"split\.json.*other groups"}
    for part, message in expected.items():
        case = split[part][0]
        write({**began, case: "BA"["AB".index(began[case])]})
        with pytest.raises(InputError, match=message) as error:
            train(*overrides, resume=True)
        assert "groups as they were, or start another run" in str(error.value)
    write(began)
    train(*overrides, resume=True)
