"""Trainings with a mask or from a rewind file: what stays 0, what is bitwise the same."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import safetensors.torch
import torch
from torch import Tensor

from segkit.bundle.bundle import read_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, Interrupted
from segkit.networks import build_network
from segkit.networks.mask_file import MaskFile, write_mask
from segkit.networks.masks import dense_masks, kept_and_total, prune_at_random
from segkit.plans.plan import Plan
from segkit.training.fit import fit
from segkit.training.outputs.checkpoint import newest_checkpoint
from segkit.training.outputs.rewind import read_rewind
from tests.training.test_fit import StopAt, rows, state
from tests.training.test_fit import config as with_validations


@pytest.fixture(scope="module")
def mask(plan_for_balls: Plan) -> MaskFile:
    """A mask that keeps 41 % of the weights."""
    masks = dense_masks(build_network(plan_for_balls))
    for _ in range(4):
        masks = prune_at_random(masks, 0.2, seed=0)
    return MaskFile(masks, tuple(channel.name for channel in plan_for_balls.channels))


def config(**trainer: Any) -> TrainConfig:
    return with_validations(validations=0, **trainer)


def largest_pruned(tensors: Mapping[str, Tensor], mask: MaskFile, prefix: str = "") -> float:
    """Return the largest magnitude of a pruned weight."""
    return max(
        float(tensors[prefix + name][~kept].abs().max()) for name, kept in mask.masks.items()
    )


class Watch(L.Callback):
    """After each step: the largest pruned weight, of the network and of its average."""

    def __init__(self, mask: MaskFile) -> None:
        self.mask = mask
        self.largest: list[float] = []

    def on_train_batch_end(self, _trainer: L.Trainer, module: Any, *_: Any) -> None:
        networks = module.network, module.average
        self.largest += [largest_pruned(net.state_dict(), self.mask) for net in networks]


OPTIMIZERS = ("muon", "adamw", "sgd")
TRAININGS: list[dict[str, Any]] = [
    *({"optimizer": name, "learning_rate": 0.01} for name in OPTIMIZERS),
    *({"optimizer": name, "precision": "bfloat16", "weight_decay": 0.1} for name in OPTIMIZERS),
    {"accumulate": 2, "layout": "channels_last"},
    {"save_memory": True, "ema": 0.0},
]


@pytest.mark.parametrize("trainer", TRAININGS, ids=str)
def test_pruned_weights_are_zero_after_each_step_and_in_each_file(
    trainer: dict[str, Any], mask: MaskFile, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    watch = Watch(mask)
    made = config(max_steps=3, rewind_step=2, **trainer)
    fit(made, plan_for_balls, balls, tmp_path, mask=mask, callbacks=[watch])
    assert watch.largest == [0.0] * 6 * trainer.get("accumulate", 1)
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    for prefix in ("network.", "average."):
        assert largest_pruned(newest[1]["state_dict"], mask, prefix) == 0.0
    assert largest_pruned(state(tmp_path), mask) == 0.0
    rewind = safetensors.torch.load_file(tmp_path / "rewind.safetensors")
    assert largest_pruned(rewind, mask) == 0.0
    # What is kept has been trained.
    first = next(iter(mask.masks))
    assert (state(tmp_path)[first][mask.masks[first]] != 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_pruned_weights_are_zero_on_a_gpu(
    precision: str, mask: MaskFile, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    """In float32 and bfloat16 the steps are recorded as a CUDA graph, in float16 they are not."""
    watch = Watch(mask)
    made = config(max_steps=4, precision=precision)
    made.compute.name = "gpu"
    fit(made, plan_for_balls, balls, tmp_path, mask=mask, callbacks=[watch])
    assert watch.largest == [0.0] * 8
    assert largest_pruned(state(tmp_path), mask) == 0.0


def test_without_masking_the_pruned_weights_would_move(
    mask: MaskFile,
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check above can fail: with gradients masked only, Muon moves the pruned weights."""
    monkeypatch.setattr(
        "segkit.training.optimization.masking.KernelMasking.clear_weights", lambda _: None
    )
    watch = Watch(mask)
    fit(config(max_steps=1), plan_for_balls, balls, tmp_path, mask=mask, callbacks=[watch])
    assert min(watch.largest) > 1e-5


def test_a_run_keeps_its_mask_for_others(
    mask: MaskFile, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(max_steps=1), plan_for_balls, balls, tmp_path, mask=mask)
    assert find_mask(tmp_path).hash == find_mask(tmp_path / "mask.safetensors").hash == mask.hash
    kept, total = kept_and_total(mask.masks)
    training = read_bundle(tmp_path).card["training"]
    facts = training["mask"]
    assert "weights" not in training
    assert (facts["hash"], facts["kept"], facts["weights"]) == (mask.hash, kept, total)
    assert facts["dense"] == facts["not_taken"] == []


def test_a_stopped_ticket_resumes_bitwise(
    mask: MaskFile, level_0: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    start: dict[str, Any] = {"mask": mask, "rewind": read_rewind(level_0)}
    fit(config(), plan_for_balls, balls, tmp_path / "whole", **start)
    run = tmp_path / "run"
    stop = StopAt(1, signal.SIGTERM)  # in the second of the four steps that follow the rewinding
    with pytest.raises(Interrupted, match="stopped at step 4 of 6"):
        fit(config(), plan_for_balls, balls, run, callbacks=[stop], **start)
    watch = Watch(mask)
    fit(config(), plan_for_balls, balls, run, callbacks=[watch])
    assert max(watch.largest) == 0.0
    whole, resumed = state(tmp_path / "whole"), state(run)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_does_not_resume_with_another_mask(
    mask: MaskFile, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    stop = StopAt(1, signal.SIGTERM)
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, mask=mask, callbacks=[stop])
    write_mask(tmp_path / "mask.safetensors", prune_at_random(mask.masks, seed=1), mask.channels)
    with pytest.raises(InputError, match=r"the mask with which this run began.*found another one"):
        fit(config(), plan_for_balls, balls, tmp_path)
    (tmp_path / "mask.safetensors").unlink()
    with pytest.raises(InputError, match="expected a mask of a network"):
        fit(config(), plan_for_balls, balls, tmp_path)


@pytest.fixture(scope="module")
def level_0(balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of 6 steps that wrote its weights after the second."""
    run = tmp_path_factory.mktemp("level") / "0"
    fit(config(rewind_step=2), plan_for_balls, balls, run)
    return run


class Batches(L.Callback):
    """The first weights, and step, learning rate and images of each batch."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.seen: list[tuple[int, float, Tensor]] = []
        self.momenta = 0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.weights = {name: t.clone() for name, t in module.network.state_dict().items()}
        self.momenta = len(trainer.optimizers[0].state)

    def on_train_batch_start(self, _trainer: Any, module: Any, batch: Any, *_: Any) -> None:
        rate = module.learning_rate
        self.seen.append((module.schedule.step, rate, batch["image"].clone()))


@pytest.fixture(scope="module")
def whole(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Tensor], Batches]:
    """Weights and batches of an ordinary training."""
    run, seen = tmp_path_factory.mktemp("whole"), Batches()
    fit(config(), plan_for_balls, balls, run, callbacks=[seen])
    return state(run), seen


def test_level_0_is_bitwise_a_training(
    whole: tuple[dict[str, Tensor], Batches],
    level_0: Path,
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path: Path,
) -> None:
    everything = MaskFile(dense_masks(build_network(plan_for_balls)), ())
    fit(config(), plan_for_balls, balls, tmp_path, mask=everything)
    for run in (level_0, tmp_path):
        assert all(torch.equal(whole[0][name], value) for name, value in state(run).items())


def test_a_rewound_ticket_continues_at_the_step_with_a_new_optimizer(
    whole: tuple[dict[str, Tensor], Batches],
    level_0: Path,
    mask: MaskFile,
    balls: Dataset,
    plan_for_balls: Plan,
    tmp_path: Path,
) -> None:
    dense, rewound = whole[1], Batches()
    rewind = read_rewind(level_0)
    fit(
        config(), plan_for_balls, balls, tmp_path / "n", rewind=rewind, mask=mask,
        callbacks=[rewound],
    )  # fmt: skip
    for name, value in rewound.weights.items():
        kept = mask.masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[kept], rewind.tensors[name][kept])  # norms and biases as well
        assert not value[~kept].any()
    assert rewound.momenta == 0
    assert [seen[:2] for seen in rewound.seen] == [seen[:2] for seen in dense.seen[2:]]
    for (_, _, own), (_, _, theirs) in zip(rewound.seen, dense.seen[2:], strict=True):
        assert torch.equal(own, theirs)


def test_rewinding_to_step_0_without_a_mask_is_the_training_itself(
    whole: tuple[dict[str, Tensor], Batches], balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    fit(config(max_steps=1, rewind_step=0), plan_for_balls, balls, tmp_path / "a")
    rewind = read_rewind(tmp_path / "a" / "rewind.safetensors")
    assert (rewind.step, rewind.progress) == (0, 0.0)
    fit(config(), plan_for_balls, balls, tmp_path / "b", rewind=rewind)
    assert all(torch.equal(whole[0][name], value) for name, value in state(tmp_path / "b").items())


def test_the_weights_of_the_step_are_those_of_a_shorter_look(
    level_0: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    """The file holds the weights themselves, as a checkpoint of step 2 does, not the average."""
    with pytest.raises(Interrupted):
        fit(config(), plan_for_balls, balls, tmp_path, callbacks=[StopAt(1, signal.SIGTERM)])
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert newest[1]["schedule"]["step"] == 2
    weights, rewind = newest[1]["state_dict"], read_rewind(level_0)
    assert rewind.progress == newest[1]["schedule"]["progress"]
    for name, value in rewind.tensors.items():
        assert torch.equal(value, weights[f"network.{name}"])


def test_a_step_that_is_never_reached_is_reported(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a budget of minutes nobody can tell before how many steps there will be."""
    made = config(max_steps=None, max_minutes=0.001, rewind_step=500)
    fit(made, plan_for_balls, balls, tmp_path)
    assert "trainer.rewind_step=500, and the training ended after 1 steps" in caplog.text
    assert not (tmp_path / "rewind.safetensors").exists()


def test_rewound_trainings_may_have_a_budget_of_minutes(
    level_0: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    seen = Batches()
    made = config(max_steps=None, max_minutes=0.001)
    fit(made, plan_for_balls, balls, tmp_path, rewind=read_rewind(level_0), callbacks=[seen])
    assert seen.seen[0][0] == 2
    assert read_bundle(tmp_path).card["training"]["steps"] == 3


def test_validations_before_the_step_are_not_made_up_for(
    level_0: Path, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    """Three validations in 6 steps come after steps 2, 4 and 6; the training starts after 2."""
    made = with_validations(validations=3)
    fit(made, plan_for_balls, balls, tmp_path, rewind=read_rewind(level_0))
    assert [row["step"] for row in rows(tmp_path) if row["dice"]] == ["4", "6"]
