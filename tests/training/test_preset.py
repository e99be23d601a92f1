"""preset=nnunet: nnU-Net's recipe and network inside segkit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.config.choices import choices
from segkit.config.compose import load
from segkit.config.keys import get, leaves
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.fingerprint import measure
from segkit.planning.planner import make_plan
from segkit.training.fit import fit

NNUNET = {
    "network.norm": "instance",
    "network.widths": "nnunet",
    "plan.memory": "8GB",
    "trainer.batch_size": 2,
    "trainer.optimizer": "sgd",
    "trainer.learning_rate": 0.01,
    "trainer.weight_decay": 3e-5,
    "trainer.warmup": 0.0,
    "trainer.gradient_clip": 12.0,
    "trainer.ema": 0.0,
    "trainer.loss": "nnunet",
    "trainer.lowest_head": False,
    "augment.until": 1.0,
    "augment.mirror": "all",
    "augment.rotate": 0.2,
    "augment.scale": 0.2,
    "augment.noise_std": 0.1,
    "preset": "nnunet",
}


def test_only_what_differs_is_set() -> None:
    preset, plain = load(["preset=nnunet"]), load()
    changed = {
        key: get(preset, key)
        for key in leaves(TrainConfig())
        if get(preset, key) != get(plain, key)
    }
    assert changed == NNUNET
    assert load(["preset=default"]) == plain
    assert choices("preset") == ["default", "nnunet"]


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("trainer.learning_rate=0.1", "trainer.learning_rate", 0.1),
        ("network.norm=batch", "network.norm", "batch"),
        ("plan.patch=[16,16,16]", "plan.memory", "auto"),
        ("network.features=[4,8]", "network.features", [4, 8]),
        ("network=residual_unet", "network.name", "residual_unet"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_overrides_win_in_any_order(word: str, key: str, value: object, first: bool) -> None:
    words = [word, "preset=nnunet"] if first else ["preset=nnunet", word]
    assert get(load(words), key) == value


def test_the_network_is_nnunets(balls: Dataset) -> None:
    config = load(["preset=nnunet", "plan.patch=[64,64,64]"])
    plan = make_plan(
        measure(balls), balls, config.network, config.plan, 2, mirror=config.augment.mirror
    )
    assert [stage.layers[-1].channels for stage in plan.network.encoder] == [32, 64, 128, 256, 320]
    assert all(layer.groups == layer.channels for layer in plan.network.layers)
    assert plan.mirror_axes == (0, 1, 2)


def test_it_trains(balls: Dataset, tmp_path: Path) -> None:
    words = [
        "compute=cpu",
        "trainer.precision=float32",
        "trainer.layout=contiguous",
        "trainer.max_steps=2",
        "trainer.validations=1",
    ]
    config = load(["preset=nnunet", "network.features=[4,8,16]", "plan.patch=[16,16,16]", *words])
    plan = make_plan(
        measure(balls), balls, config.network, config.plan, 2, mirror=config.augment.mirror
    )
    state = read_bundle(fit(config, plan, balls, tmp_path)).state("0")
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
