"""A whole training on small data."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.config.schema import NetworkConfig, PlanConfig, TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, Interrupted
from segkit.fingerprint.fingerprint import measure
from segkit.io import write_labels
from segkit.networks.precision import EMULATED, cpu_bfloat16_time_ratio
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan
from segkit.training.fit import fit
from segkit.training.outputs.checkpoint import newest_checkpoint
from segkit.volume import Volume


def config(**trainer: Any) -> TrainConfig:
    made = TrainConfig()
    made.compute.name = "cpu"
    made.trainer.precision, made.trainer.layout, made.trainer.threads = "float32", "contiguous", 1
    for name, value in {"max_steps": 6, "validations": 2, **trainer}.items():
        setattr(made.trainer, name, value)
    return made


class StopAt(L.Callback):
    """Sends this process a signal ``times`` times in the first batch of a step."""

    def __init__(self, step: int, number: int, times: int = 1) -> None:
        self.step = step
        self.number = number
        self.times = times

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.step = -1
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


def rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "training.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    fit(config(), plan_for_balls, balls, folder)
    return folder


def saved_schedule(run_dir: Path) -> dict[str, Any]:
    newest = newest_checkpoint(run_dir / "checkpoints")
    assert newest is not None
    schedule: dict[str, Any] = newest[1]["schedule"]
    return schedule


def state(run_dir: Path) -> dict[str, torch.Tensor]:
    return read_bundle(run_dir / "bundle").state("0")


def test_a_finished_bundle_says_how_well_bfloat16_agrees(run: Path) -> None:
    found = read_bundle(run / "bundle").card.get("bfloat16")
    if cpu_bfloat16_time_ratio() >= EMULATED:  # as on a CPU with AVX2 only
        assert found is None
        return
    assert found["cases"] == 1
    assert found["dice"].keys() <= {"low", "high"}


def test_a_finished_bundle_says_what_smaller_overlaps_cost(run: Path) -> None:
    bundle = read_bundle(run / "bundle")
    found, dice = bundle.card["overlap"], bundle.card["metrics"]["dice"]
    assert found["cases"] + found["same_windows"] == bundle.card["metrics"]["cases"] == 1
    if found["cases"]:
        assert found["dice"]["0.5"] == pytest.approx(dice, abs=1e-6)


def test_a_run_leaves_its_files(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "training.csv",
        "progress.png",
        "checkpoints",
        "bundle",
        "finished.json",
        "split.json",
    }
    assert "report.html" in names
    assert "prepared" not in names
    assert len(list((run.parent / "prepared").glob("*.safetensors"))) >= 4
    split = json.loads((run / "split.json").read_text())
    assert len(split["training"]) + len(split["validation"]) == 4
    assert not set(split["training"]) & set(split["validation"])


def test_training_csv_has_steps_losses_and_dice(run: Path) -> None:
    found = rows(run)
    assert [int(row["step"]) for row in found] == [1, 2, 3, 4, 5, 6]
    assert all(float(row["loss"]) > 0 for row in found)
    assert [bool(row["dice"]) for row in found] == [False, False, True, False, False, True]
    assert {"dice_low", "dice_high"} <= set(found[0])


def test_the_bundle_says_how_it_was_trained(run: Path) -> None:
    card = read_bundle(run / "bundle").card
    assert card["training"]["steps"] == 6
    assert card["training"]["precision"] == "float32"
    assert card["training"]["validation_cases"] == card["metrics"]["cases"]
    assert card["training"]["machine"]["device"] == "cpu"
    assert card["training"]["machine"]["threads"] == 1
    assert card["training"]["versions"]["torch"] == torch.__version__
    # One validation case has no interval.
    assert card["metrics"]["intervals"] == {name: {"cases": 1} for name in card["metrics"]["dice"]}


def test_the_bundle_names_no_case(run: Path) -> None:
    for path in (run / "bundle").rglob("*"):
        assert path.is_dir() or b"case_" not in path.read_bytes()


def test_two_runs_with_one_seed_agree_bitwise(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(), plan_for_balls, balls, tmp_path)
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_usable_and_resumes_to_the_same_weights(
    number: int, run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(
        Interrupted, match=r"stopped at step 3 of 6; .*bundle is usable.*--resume"
    ) as caught:
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(2, number)])
    assert caught.value.exit_code == 128 + number
    assert read_bundle(tmp_path / "bundle").card["training"]["steps"] == 3
    assert (tmp_path / "checkpoints/last.ckpt").is_file()
    assert not (tmp_path / "finished.json").is_file()
    fit(config(), plan_for_balls, balls, tmp_path)
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())
    assert [int(row["step"]) for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    run: Path,
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(4, signal.SIGTERM)])
    (tmp_path / "checkpoints/last.ckpt").write_bytes(b"half")
    fit(config(), plan_for_balls, balls, tmp_path)
    assert "cannot be read" in caplog.text
    assert (tmp_path / "checkpoints/unreadable.ckpt").read_bytes() == b"half"
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())


@pytest.mark.parametrize("damage", [b"half", None])
def test_a_model_whose_checkpoint_cannot_be_read_is_not_replaced_by_a_new_training(
    damage: bytes | None, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(1, signal.SIGTERM)])
    checkpoint = tmp_path / "checkpoints/last.ckpt"
    checkpoint.write_bytes(damage or checkpoint.read_bytes()[:-1000])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        InputError,
        match=r"found none that can be read\. The model in .*bundle is complete and stays",
    ):
        fit(config(), plan_for_balls, balls, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


MISFITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "other weights": lambda content: content["state_dict"].clear(),
    "another shape": lambda content: content["state_dict"].update(
        {next(iter(content["state_dict"])): torch.ones(1)}
    ),
    "another optimizer": lambda content: content.update(optimizer_states=[{"x": 1}]),
    "no loops": lambda content: content.pop("loops"),
    "another callback": lambda content: content["callbacks"].update(Keeper={"losses": 1}),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_checkpoint_that_does_not_fit_is_named(
    name: str, stopped: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    path = tmp_path / "run/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    MISFITS[name](content)
    torch.save(content, path)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with pytest.raises(
        InputError,
        match=r"last\.ckpt: expected a checkpoint of this training|found none that can be",
    ):
        fit(config(), plan_for_balls, balls, tmp_path / "run")
    assert {
        file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()
    } == before


@pytest.fixture(scope="module")
def stopped(balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, folder, callbacks=[StopAt(1, signal.SIGTERM)])
    (folder / "checkpoints/previous.ckpt").unlink(missing_ok=True)
    return folder


def test_a_run_does_not_continue_with_another_plan(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(0, signal.SIGTERM)])
    other = dataclasses.replace(plan_for_balls, mirror_axes=())
    with pytest.raises(
        InputError,
        match=r"plan\.json: expected the plan with which this run began, found another one",
    ):
        fit(config(), other, balls, tmp_path)


def test_validation_cases_without_any_label_have_no_dice(
    plan_for_balls: Plan, balls: Dataset, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.nii.gz"
    write_labels(empty, Volume(np.zeros((1, 20, 18, 16), np.uint8), np.eye(4)))
    held_out = balls.folds()[0]
    cases = tuple(
        dataclasses.replace(case, label=empty) if case.id in held_out else case
        for case in balls.cases
    )
    fit(
        config(max_steps=1),
        plan_for_balls,
        dataclasses.replace(balls, cases=cases),
        tmp_path / "run",
    )
    metrics = read_bundle(tmp_path / "run/bundle").card["metrics"]
    assert metrics["mean_dice"] in (None, 0.0)  # a fresh network may find something
    assert rows(tmp_path / "run")[0]["dice"] in ("", "0.0")


def test_accumulated_gradients_count_as_one_step(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    halves = dataclasses.replace(plan_for_balls, batch_size=1)
    fit(config(accumulate=2, max_steps=3), halves, balls, tmp_path)
    assert read_bundle(tmp_path / "bundle").card["training"]["steps"] == 3
    fit(config(accumulate=2, max_steps=1), halves, balls, tmp_path / "same")
    fit(config(max_steps=1), plan_for_balls, balls, tmp_path / "as one")
    # Dice is of a batch, so halves are not the whole; but not half of it either.
    two, one = (float(rows(tmp_path / name)[0]["loss"]) for name in ("same", "as one"))
    assert two == pytest.approx(one, rel=0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_all_batches_of_a_step(
    number: int, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="stopped at step 2 of 6"):
        fit(config(accumulate=2), plan_for_balls, balls, tmp_path, callbacks=[StopAt(1, number)])
    assert read_bundle(tmp_path / "bundle").card["training"]["steps"] == 2


def test_a_second_signal_stops_immediately(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        Interrupted, match="stopped immediately; --resume continues from the last checkpoint"
    ) as caught:
        fit(
            config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(3, signal.SIGINT, times=2)]
        )
    assert caught.value.exit_code == 130
    assert read_bundle(tmp_path / "bundle").card["training"]["steps"] == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_in_the_last_step_finishes_the_run_and_is_reported(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(
        Interrupted, match=r"stopped in the last step.*the training is finished"
    ) as caught:
        fit(
            config(max_steps=2),
            plan_for_balls,
            balls,
            tmp_path,
            callbacks=[StopAt(1, signal.SIGINT)],
        )
    assert caught.value.exit_code == 130
    assert json.loads((tmp_path / "finished.json").read_text()) == {"steps": 2}


def test_a_run_killed_after_its_last_checkpoint_is_only_marked_as_finished(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(max_steps=2), plan_for_balls, balls, tmp_path)
    before = state(tmp_path)
    (tmp_path / "finished.json").unlink()
    fit(config(max_steps=2), plan_for_balls, balls, tmp_path)
    assert json.loads((tmp_path / "finished.json").read_text()) == {"steps": 2}
    assert all(torch.equal(value, before[name]) for name, value in state(tmp_path).items())


def test_workers_change_nothing(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(workers=2), plan_for_balls, balls, tmp_path)
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())


def test_saving_memory_changes_nothing(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(save_memory=True), plan_for_balls, balls, tmp_path)
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())


def test_a_stop_between_two_rows_changes_no_row(balls: Dataset, tmp_path: Path) -> None:
    network, patches = NetworkConfig(features=[4, 8]), PlanConfig(patch=[8, 8, 8])
    plan = make_plan(measure(balls), balls, network=network, plan=patches, batch_size=1)
    made = config(max_steps=200, validations=0)  # a row every second step
    fit(made, plan, balls, tmp_path / "whole")
    with pytest.raises(Interrupted, match="stopped at step 101 of 200"):
        fit(made, plan, balls, tmp_path / "stopped", callbacks=[StopAt(100, signal.SIGTERM)])
    fit(made, plan, balls, tmp_path / "stopped")
    losses = [
        [(row["step"], row["loss"]) for row in rows(tmp_path / name)]
        for name in ("whole", "stopped")
    ]
    assert losses[0] == losses[1]


def test_a_validation_deferred_by_a_signal_is_done_after_the_resume(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):  # in the step that is to be followed by a validation
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(2, signal.SIGTERM)])
    assert read_bundle(tmp_path / "bundle").card["metrics"] == {}
    fit(config(), plan_for_balls, balls, tmp_path)
    assert [row["dice"] for row in rows(tmp_path)] == [row["dice"] for row in rows(run)]


class Drawing(L.Callback):
    """Draws from torch's random numbers in every batch, as a network with dropout does."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.drawn.append(float(torch.rand(())))


def test_random_numbers_continue_after_a_resume(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    whole, first, second = Drawing(), Drawing(), Drawing()
    fit(config(), plan_for_balls, balls, tmp_path / "whole", callbacks=[whole])
    with pytest.raises(Interrupted):
        fit(
            config(),
            plan_for_balls,
            balls,
            tmp_path / "run",
            callbacks=[StopAt(1, signal.SIGTERM), first],
        )
    fit(config(), plan_for_balls, balls, tmp_path / "run", callbacks=[second])
    assert first.drawn + second.drawn == whole.drawn


def test_a_resumed_run_keeps_the_last_validation_in_its_model(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    for step in (3, 4):  # the validation was before them
        with pytest.raises(Interrupted):
            fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(step, signal.SIGTERM)])
        assert read_bundle(tmp_path / "bundle").card["metrics"]["step"] == 3


def test_the_number_of_steps_of_a_resumed_run_is_fixed(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    made = config(max_steps=None, max_minutes=2, validations=0)
    with pytest.raises(Interrupted):
        fit(made, plan_for_balls, balls, tmp_path, callbacks=[StopAt(12, signal.SIGTERM)])
    decided = saved_schedule(tmp_path)["total"]
    assert decided > 13
    long_ago = time.monotonic() - 3600  # no time is left at all
    with pytest.raises(Interrupted, match=f"stopped at step 25 of {decided};"):
        fit(
            made,
            plan_for_balls,
            balls,
            tmp_path,
            started=long_ago,
            callbacks=[StopAt(24, signal.SIGTERM)],
        )


def test_a_decided_number_of_steps_is_saved_immediately(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    totals: list[tuple[int, int]] = []

    class Totals(L.Callback):
        """Notes the length in the checkpoint and in the run at the start of each step."""

        def on_train_batch_start(self, _trainer: L.Trainer, module: Any, *_: Any) -> None:
            if found := newest_checkpoint(tmp_path / "checkpoints"):
                totals.append((found[1]["schedule"]["total"], module.schedule.total))

    made = config(max_steps=None, max_minutes=2, validations=0)
    with pytest.raises(Interrupted):
        fit(made, plan_for_balls, balls, tmp_path, callbacks=[Totals(), StopAt(14, signal.SIGTERM)])
    assert len(totals) == 5  # steps 11 to 15
    assert all(stored == current for stored, current in totals)


def test_checkpoints_by_steps(balls: Dataset, plan_for_balls: Plan, tmp_path: Path) -> None:
    fit(config(max_steps=5, validations=0, checkpoint_steps=2), plan_for_balls, balls, tmp_path)
    assert saved_schedule(tmp_path)["step"] == 5
    (tmp_path / "checkpoints/last.ckpt").unlink()
    assert saved_schedule(tmp_path)["step"] == 4


def test_checkpoints_between_validations(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(
        config(max_steps=3, validations=0, checkpoint_minutes=1e-9), plan_for_balls, balls, tmp_path
    )
    steps = [saved_schedule(tmp_path)["step"]]
    (tmp_path / "checkpoints/last.ckpt").unlink()
    steps.append(saved_schedule(tmp_path)["step"])
    assert steps == [3, 2]


def test_no_validation_at_all(balls: Dataset, plan_for_balls: Plan, tmp_path: Path) -> None:
    fit(config(max_steps=2, validations=0), plan_for_balls, balls, tmp_path)
    assert read_bundle(tmp_path / "bundle").card["metrics"] == {}
    assert {row["dice"] for row in rows(tmp_path)} == {""}


def test_minutes_end_the_schedule(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(config(max_steps=None, max_minutes=0.0001), plan_for_balls, balls, tmp_path)
    card = read_bundle(tmp_path / "bundle").card
    assert card["training"]["steps"] == 1
    assert card["metrics"] == {}
    assert "no validation at the end: one case would take about" in caplog.text


def test_the_last_validation_uses_the_remaining_time(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cases = tuple(dataclasses.replace(case, split=str(i % 2)) for i, case in enumerate(balls.cases))
    halves = dataclasses.replace(balls, cases=cases)
    long_ago = time.monotonic() - 3600
    fit(config(max_steps=None, max_minutes=60), plan_for_balls, halves, tmp_path, started=long_ago)
    assert read_bundle(tmp_path / "bundle").card["metrics"]["cases"] == 1
    assert "validated on 1 of 2 cases, as time allowed" in caplog.text


def test_all_cases_train_without_validation(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    made = config(max_steps=2)
    made.fold = "all"
    fit(made, plan_for_balls, balls, tmp_path)
    card = read_bundle(tmp_path / "bundle").card
    assert card["training"]["validation_cases"] == 0
    assert card["metrics"] == {}


def test_training_starts_from_a_model(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    made = config(max_steps=1, learning_rate=0.0, learning_rate_rest=0.0)
    fit(made, plan_for_balls, balls, tmp_path, weights=read_bundle(run / "bundle"))
    assert all(torch.allclose(value, state(tmp_path)[name]) for name, value in state(run).items())


def test_a_loss_that_is_not_finite_names_the_cases(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    made = config(
        learning_rate=1e30, learning_rate_rest=1e30, gradient_clip=0.0, max_steps=50, warmup=0.0
    )
    with pytest.raises(
        InputError, match=r"training step .*expected a finite loss, found .* on cases case_"
    ):
        fit(made, plan_for_balls, balls, tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_on_a_gpu(
    precision: str, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    made = config(precision=precision)
    made.compute.name = "gpu"
    fit(made, plan_for_balls, balls, tmp_path)
    assert all(torch.isfinite(value).all() for value in state(tmp_path).values())


def test_a_run_does_not_continue_with_other_cases(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(0, signal.SIGTERM)])
    before = (tmp_path / "split.json").read_bytes()
    with pytest.raises(
        InputError,
        match=r"split\.json: expected the cases with which this run began, found other cases",
    ):
        fit(config(), plan_for_balls, dataclasses.replace(balls, cases=balls.cases[1:]), tmp_path)
    assert (tmp_path / "split.json").read_bytes() == before
    (tmp_path / "split.json").unlink()
    with pytest.raises(
        InputError, match=r"split\.json: expected the cases with which this run began, found"
    ):
        fit(config(), plan_for_balls, balls, tmp_path)


def test_the_checkpoint_of_the_last_step_comes_after_its_model(
    run: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    class FullDiskAtTheEnd(L.Callback):
        """The bundle's folder is taken by a file when the last step has been done."""

        def on_before_optimizer_step(self, trainer: L.Trainer, *_: object) -> None:
            if trainer.global_step == 5:
                shutil.rmtree(tmp_path / "bundle", ignore_errors=True)
                (tmp_path / "bundle").write_bytes(b"")

    with pytest.raises(InputError):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[FullDiskAtTheEnd()])
    (tmp_path / "bundle").unlink()
    fit(config(), plan_for_balls, balls, tmp_path)
    assert read_bundle(tmp_path / "bundle").card["training"]["steps"] == 6
    assert all(torch.equal(value, state(tmp_path)[name]) for name, value in state(run).items())


def test_cases_and_mode_of_an_earlier_run_are_taken_from_the_store(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = config(layout="auto", max_steps=1, validations=0)
    made.dataset.store = str(tmp_path / "shared")
    fit(made, plan_for_balls, balls, tmp_path / "one")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shared").iterdir()}
    assert len(before) == 6  # four cases, a mode, the tag
    assert "as timed before" not in caplog.text
    assert f"prepared cases are kept in {tmp_path / 'shared'} (" in caplog.text
    made.seed = 1
    fit(made, plan_for_balls, balls, tmp_path / "two")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shared").iterdir()} == before
    assert "as timed before" in caplog.text
    caplog.clear()
    made.trainer.max_steps, made.trainer.max_minutes = None, 0.0001
    fit(made, plan_for_balls, balls, tmp_path / "three")
    assert "as timed before" not in caplog.text


@pytest.mark.parametrize("length", [{"max_steps": 2}, {"max_steps": None, "max_minutes": 0.0001}])
def test_a_label_that_no_patch_shows_is_named_once(
    length: dict[str, Any],
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = {**balls.labels, "absent": 9}
    plan, data = (dataclasses.replace(item, labels=labels) for item in (plan_for_balls, balls))
    fit(config(validations=0, **length), plan, data, tmp_path)
    assert caplog.text.count("shows absent: it cannot be learned") == 1
