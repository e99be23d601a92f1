"""Trainings from masks and rewind files by command, also in several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.bundle.trained_on import TrainedOn, scans_of
from segkit.cli import main
from segkit.config.compose import load
from segkit.dataset.dataset import Case
from segkit.dataset.split import Split, split_cases
from segkit.networks import build_network
from segkit.networks.mask_file import MaskFile, write_mask
from segkit.networks.masks import dense_masks, kept_and_total, prune_by_magnitude
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.training.compute.distributed import ALONE
from segkit.training.initialization.origin import Origin, initialize, warn_of_seen_cases
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.checkpoint import newest_checkpoint
from segkit.training.outputs.rewind import read_rewind, write_rewind
from tests.small_training import QUICK, SMALL

WORDS = [*SMALL, *QUICK[1:], "trainer.max_steps=4", "trainer.batch_size=2"]


@pytest.fixture(scope="module")
def level_0(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense training, with a mask of 64 % of its weights beside it."""
    run = tmp_path_factory.mktemp("tickets") / "level_0"
    words = [f"dataset={phantom}", *WORDS, f"run_dir={run}", "trainer.rewind_step=1"]
    assert main(["train", *words]) == 0
    model = read_bundle(run)
    masks = dense_masks(model.networks()[0])
    for _ in range(2):
        masks = prune_by_magnitude(model.state("0"), masks, 0.2)
    write_mask(run.parent / "mask.safetensors", masks, [c.name for c in model.plan.channels])
    return run


def train_ticket(phantom: Path, level_0: Path, run: Path, *words: str) -> dict[str, Tensor]:
    """Train the ticket of level 1, check its zeros, and return its weights."""
    mask = level_0.parent / "mask.safetensors"
    start = [f"mask={mask}", f"rewind={level_0}", "trainer.rewind_step=2"]
    given = [f"dataset={phantom}", *WORDS, *start, f"run_dir={run}", *words]
    if words:  # the ranks of a distributed training start the command of their process again
        command = [sys.executable, "-m", "segkit", "train", *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    else:
        assert main(["train", *given]) == 0
    state = read_bundle(run).state("0")
    newest = newest_checkpoint(run / "checkpoints")
    assert newest is not None
    weights = newest[1]["state_dict"]
    for name, kept in find_mask(run).masks.items():
        for tensor in (
            state[name],
            weights[f"network.{name}"],
            weights[f"average.{name}"],
            read_rewind(run).tensors[name],
        ):
            assert tensor[~kept].abs().max() == 0.0
            assert tensor[kept].abs().min() > 0.0
    return state


def test_a_ticket_is_trained_by_one_command(phantom: Path, level_0: Path, tmp_path: Path) -> None:
    train_ticket(phantom, level_0, tmp_path / "1")
    report = json.loads((tmp_path / "1" / "weights.json").read_text())
    assert (report["step"], report["mask"]["dense"]) == (1, [])
    counts = kept_and_total(find_mask(level_0.parent / "mask.safetensors").masks)
    assert (report["mask"]["kept"], report["mask"]["weights"]) == counts


def test_validation_cases_that_the_weights_have_seen_are_named(
    phantom: Path, level_0: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewind, dataset = read_rewind(level_0), open_dataset(load([f"dataset={phantom}"]))
    same, other = (split_cases(dataset, fold) for fold in (0, 1))
    warn_of_seen_cases(Origin(rewind=rewind), same)
    write_rewind(tmp_path / "rewind.safetensors", nn.Linear(1, 1), Schedule(3, step=1))
    warn_of_seen_cases(Origin(rewind=read_rewind(tmp_path)), other)  # from where, nobody can tell
    assert not caplog.text
    warn_of_seen_cases(Origin(rewind=rewind), other)
    count = len(other.validation)
    assert f"{count} of the {count} validation cases were trained on before" in caplog.text
    assert other.validation[0].id in caplog.text


def test_scans_that_a_model_has_seen_are_told_by_their_voxels(
    plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cases = [Case(name, (), voxels_hash=name * 32) for name in "abc"]
    entries = {"trained_on": {"0": scans_of(cases[:1]).to_json()}}
    states = {"0": build_network(plan_for_balls).state_dict()}
    made = partial(write_bundle, plan=plan_for_balls, states=states)
    model = made(tmp_path / "m", card=entries)
    warn_of_seen_cases(Origin(model), Split((), tuple(cases[1:])))
    assert not caplog.text
    warn_of_seen_cases(Origin(model), Split((), tuple(cases)))
    assert "1 of the 3 validation cases were trained on before" in caplog.text
    caplog.clear()
    older = Origin(made(tmp_path / "older", card={}))
    warn_of_seen_cases(older, Split((), tuple(cases)))
    assert "does not record all scans that it was trained on" in caplog.text
    assert older.trained_on() == TrainedOn(frozenset(), complete=False)
    assert Origin().trained_on() is None


@pytest.mark.slow
def test_two_processes_train_the_same_ticket(phantom: Path, level_0: Path, tmp_path: Path) -> None:
    one = train_ticket(phantom, level_0, tmp_path / "one")
    two = train_ticket(phantom, level_0, tmp_path / "two", "compute=ddp", "compute.devices=2")
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-4)


def test_a_mask_on_another_dataset(phantom: Path, level_0: Path, tmp_path: Path) -> None:
    """A subset of the labels and a channel of another name: the rest of the mask is taken."""
    mask = level_0.parent / "mask.safetensors"
    other = ["dataset.labels={liver:1}", "dataset.channels=[T2]"]
    words = [f"dataset={phantom}", *other, f"weights={level_0}", f"mask={mask}"]
    end = ["trainer.validations=0", f"run_dir={tmp_path / 'x'}"]
    assert main(["train", *words, *QUICK, *end]) == 0
    report = json.loads((tmp_path / "x" / "weights.json").read_text())
    assert report["not_loaded"] == report["mask"]["dense"] == ["encoder.0.0.conv.weight"]


def test_fine_tuning_a_pruned_model_without_its_mask_is_said(
    plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = build_network(plan_for_balls)
    mask = MaskFile(dense_masks(network), ())
    states = {"0": network.state_dict()}
    model = write_bundle(tmp_path / "m", plan_for_balls, {"name": "m"}, states, mask=mask)
    initialize(network, plan_for_balls, Origin(model), tmp_path, ALONE)
    assert f"its pruned weights are trained again. With mask={tmp_path}" in caplog.text
    caplog.clear()
    initialize(network, plan_for_balls, Origin(model, mask=mask), tmp_path, ALONE)
    assert "trained again" not in caplog.text
