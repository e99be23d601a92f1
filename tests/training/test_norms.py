"""Batch renormalization and standardized kernels in whole trainings, and in what comes after."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkit.bundle.bundle import read_bundle
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import Interrupted
from segkit.inference.scoring.engine import installed
from segkit.inference.scoring.ready_networks import ready_networks
from segkit.networks import build_network
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.planning.network_stages import with_norms
from segkit.plans.norm_catalogue import NormKind, has_groups
from segkit.plans.plan import Plan
from segkit.training.fit import fit
from tests.training.test_fit import StopAt, rows

NORMS: tuple[NormKind, ...] = ("batch_renorm", "group_ws")
BATCHES = 54
"""Forward passes of the trainings: with batch renormalization, the last 4 are corrected."""


def config(**trainer: Any) -> TrainConfig:
    made = TrainConfig()
    made.compute.name = "cpu"
    made.trainer.precision, made.trainer.layout, made.trainer.threads = "float32", "contiguous", 1
    made.trainer.max_steps, made.trainer.accumulate, made.trainer.validations = 6, 9, 1
    for name, value in trainer.items():
        setattr(made.trainer, name, value)
    return made


def with_norm(plan: Plan, norm: NormKind) -> Plan:
    network = with_norms(
        plan.network, lambda layer: (norm, layer.groups if has_groups(norm) else 0)
    )
    return replace(plan, network=network, batch_size=1)


@pytest.fixture(scope="module", params=NORMS)
def norm(request: pytest.FixtureRequest) -> NormKind:
    asked: NormKind = request.param
    return asked


@pytest.fixture(scope="module")
def run(
    norm: NormKind,
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A finished training at batch size 1."""
    folder = tmp_path_factory.mktemp(norm)
    fit(config(), with_norm(plan_for_balls, norm), balls, folder)
    return folder


def state(run: Path) -> dict[str, Tensor]:
    return read_bundle(run / "bundle").state("0")


def test_stopped_resumed_and_with_less_memory_it_ends_bitwise_the_same(
    run: Path, norm: NormKind, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    plan = with_norm(plan_for_balls, norm)
    with pytest.raises(Interrupted):
        fit(config(), plan, balls, tmp_path, callbacks=[StopAt(4, signal.SIGTERM)])
    fit(config(save_memory=True), plan, balls, tmp_path)
    expected, found = state(run), state(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_every_forward_pass_is_counted_once(
    run: Path, norm: NormKind, balls: Dataset, plan_for_balls: Plan
) -> None:
    counters = {int(v) for name, v in state(run).items() if name.endswith("norm.batches")}
    assert counters == ({BATCHES} if norm == "batch_renorm" else set())


def test_bfloat16_and_channels_last_train_as_well(
    run: Path, norm: NormKind, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    mode = config(precision="bfloat16", layout="channels_last", save_memory=True, max_steps=2)
    fit(mode, with_norm(plan_for_balls, norm), balls, tmp_path)
    exact, half = (float(rows(folder)[0]["loss"]) for folder in (run, tmp_path))
    assert 0 < abs(half - exact) < 0.02 * exact
    assert all(value.dtype in (torch.float32, torch.int64) for value in state(tmp_path).values())


def test_a_model_with_batch_norm_does_not_pass_on_its_count(plan_for_balls: Plan) -> None:
    theirs = build_network(with_norm(plan_for_balls, "batch"))
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean, module.num_batches_tracked = torch.full((8,), 5.0), torch.tensor(9)
            break
    network = build_network(with_norm(plan_for_balls, "batch_renorm"))
    network.load_state_dict(theirs.state_dict(), strict=False)
    norm = next(module for module in network.modules() if isinstance(module, BatchRenorm))
    assert (norm.running_mean == 5).all()
    assert norm.batches == norm.num_batches_tracked == 0
    # The first batch replaces all running statistics.
    network(torch.randn(1, 1, *plan_for_balls.patch))
    assert norm.running_mean.abs().max() < 1


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_predictions_are_those_of_the_layers_that_were_trained(run: Path, engine: str) -> None:
    if engine == "openvino" and not installed():
        pytest.skip("needs the package openvino")
    bundle = read_bundle(run / "bundle")
    (plain,) = bundle.networks()
    windows = torch.randn(1, 1, *bundle.plan.patch)
    ready = ready_networks(
        [bundle, bundle], bundle.plan, device="cpu", precision="float32", engine=engine, tta=False
    )
    expected = plain(windows)
    scores = ready.scorer.scores(ready.scorer(windows)[0])
    assert ready.engine == engine
    assert (scores - expected[0]).abs().max() <= 1e-5 * expected.abs().max()
    # What the trained layers need at every window is gone.
    kinds = {type(module).__name__ for module in ready.scorer.networks[0].modules()}
    assert not kinds & {"BatchRenorm", "StandardizedConv3d"}
    assert {type(module).__name__ for module in plain.modules()} & {
        "BatchRenorm",
        "StandardizedConv3d",
    }
