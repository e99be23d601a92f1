"""Every override changes something; a setting without effect is a defect."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from segkit.bundle.bundle import read_bundle
from segkit.config.compose import load
from segkit.config.keys import get, known_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.fingerprint import measure
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.fit import fit

PLANNED = [
    ("network.name", "network=residual_unet"),
    ("network.dims", "network.dims=2"),
    ("network.features", "network.features=[4,8]"),
    ("network.widths", "network.widths=nnunet"),
    ("network.convs", "network.convs=1"),
    ("network.activation", "network.activation=relu"),
    ("network.norm", "network.norm=instance"),
    ("network.channels_per_group", "network.channels_per_group=8"),
    ("network.num_groups", "network.num_groups=1"),
    ("network.deep_supervision", "network.deep_supervision=false"),
    ("plan.spacing", "plan.spacing=[2,2,2]"),
    ("plan.patch", "plan.patch=[8,8,8]"),
    ("plan.memory", "plan.memory=2MB"),
    ("trainer.batch_size", "trainer.batch_size=1"),
    ("augment.mirror", "augment.mirror=[2]"),
]
DRAWN = [
    ("augment.dummy_2d", "augment.dummy_2d=2", "augment.rotate=1"),
    ("augment.rotate", "augment.rotate=1", ""),
    ("augment.rotate_degrees", "augment.rotate_degrees=90", "augment.rotate=1"),
    ("augment.scale", "augment.scale=1", ""),
    ("augment.scale_range", "augment.scale_range=[2,2]", "augment.scale=1"),
    ("augment.noise", "augment.noise=1", ""),
    ("augment.noise_std", "augment.noise_std=2", "augment.noise=1"),
    ("augment.blur", "augment.blur=1", ""),
    ("augment.blur_per_channel", "augment.blur_per_channel=0", "augment.blur=1"),
    ("augment.blur_sigma", "augment.blur_sigma=[2,2]", "augment.blur=1"),
    ("augment.brightness", "augment.brightness=1", ""),
    ("augment.brightness_range", "augment.brightness_range=[2,2]", "augment.brightness=1"),
    ("augment.contrast", "augment.contrast=1", ""),
    ("augment.contrast_range", "augment.contrast_range=[0.1,0.1]", "augment.contrast=1"),
    ("augment.lowres", "augment.lowres=1", ""),
    ("augment.lowres_per_channel", "augment.lowres_per_channel=0", "augment.lowres=1"),
    ("augment.lowres_zoom", "augment.lowres_zoom=[0.3,0.3]", "augment.lowres=1"),
    ("augment.gamma", "augment.gamma=1", ""),
    ("augment.gamma_range", "augment.gamma_range=[3,3]", "augment.gamma=1"),
    ("augment.gamma_inverted", "augment.gamma_inverted=1", ""),
    ("augment.channel_dropout", "augment.channel_dropout=1", ""),
    ("trainer.foreground", "trainer.foreground=1", "trainer.foreground=0"),
    ("seed", "seed=1", ""),
]
TRAINED = [
    ("trainer.max_steps", "trainer.max_steps=4"),
    ("trainer.accumulate", "trainer.accumulate=2"),
    ("trainer.precision", "trainer.precision=bfloat16"),
    ("trainer.optimizer", "trainer.optimizer=adamw"),
    ("trainer.learning_rate", "trainer.learning_rate=0.1"),
    ("trainer.learning_rate_rest", "trainer.learning_rate_rest=0.1"),
    ("trainer.weight_decay", "trainer.weight_decay=1"),
    ("trainer.warmup", "trainer.warmup=0.9"),
    ("trainer.decay_power", "trainer.decay_power=3"),
    ("trainer.gradient_clip", "trainer.gradient_clip=0.001"),
    ("trainer.ema", "trainer.ema=0"),
    ("trainer.loss", "trainer.loss=ce"),
    ("augment.until", "augment.until=0"),
    ("fold", "fold=1"),
]
ELSEWHERE = {
    "network.symmetry",
    "folds",
    "folds_by",
    "plan.harmonization",
    "dataset.path",
    "dataset.channels",
    "dataset.labels",
    "dataset.store",
    "dataset.regions",
    "dataset.ignore",
    "dataset.groups",
    "dataset.group_column",
    "plan.file",
    "run_dir",
    "weights",
    "rewind",
    "mask",
    "preset",
    "trainer.lowest_head",
    "compute.name",
    "compute.devices",
    "compute.nodes",
    "compute.partition",
    "compute.timeout",
    "compute.gpus",
    "compute.cpus",
    "compute.memory",
    "trainer.max_minutes",
    "trainer.layout",
    "trainer.workers",
    "trainer.save_memory",
    "trainer.threads",
    "trainer.validations",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_steps",
    "trainer.rewind_step",
    "logger",
}
"""Keys that change no plan, patch or weight; other tests cover them.

See test_fit.py, test_masked_fit.py, test_precision.py, test_distributed.py, test_preset.py,
test_losses.py, test_split.py, test_train.py, test_harmonized_fit.py and, in tests/planning and
tests/dataset, test_symmetry.py, test_harmonization.py and test_groups.py.
"""


def test_every_key_has_a_test() -> None:
    keys = [*(row[0] for row in (*PLANNED, *DRAWN, *TRAINED)), *ELSEWHERE]
    assert sorted(keys) == sorted(known_keys())


@pytest.fixture(scope="module")
def plan_under(balls: Dataset) -> Callable[..., Plan]:
    """The plan under some overrides."""
    measured = measure(balls)

    def decide(*words: str) -> Plan:
        config = load(words)
        size = None if config.trainer.batch_size == "auto" else config.trainer.batch_size
        mirror = config.augment.mirror
        return make_plan(measured, balls, config.network, config.plan, size, mirror=mirror)

    return cache(decide)


@pytest.mark.parametrize(("key", "word"), PLANNED)
def test_an_override_changes_the_plan(key: str, word: str, plan_under: Callable[..., Plan]) -> None:
    assert get(load([word]), key) != get(TrainConfig(), key)
    assert plan_under(word).hash() != plan_under().hash()


@pytest.fixture(scope="module")
def patches_under(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Tensor]:
    """The images of the first patches under some overrides."""
    cases = prepare_cases(balls.cases, balls, plan_for_balls, tmp_path_factory.mktemp("prepared"))

    def draw(*words: str) -> Tensor:
        config = load(words)
        rules = PatchRules(plan_for_balls, config.augment, config.seed, config.trainer.foreground)
        dataset = PatchDataset(cases, rules)
        return torch.stack([dataset[number]["image"] for number in range(6)])

    return cache(draw)


@pytest.mark.parametrize(("key", "word", "base"), DRAWN)
def test_an_override_changes_the_patches(
    key: str, word: str, base: str, patches_under: Callable[..., Tensor]
) -> None:
    before = [base] if base else []
    after = [word] if base.startswith(f"{key}=") else [*before, word]
    assert get(load(after), key) != get(load(before), key)
    assert not torch.equal(patches_under(*after), patches_under(*before))


@pytest.fixture(scope="module")
def weights_under(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Tensor]]:
    """The weights after three steps under some overrides."""

    def train(*words: str) -> dict[str, Tensor]:
        base = [
            "compute=cpu",
            "trainer.layout=contiguous",
            "trainer.threads=1",
            "trainer.validations=0",
        ]
        given = {word.partition("=")[0] for word in words}
        base += [
            word
            for word in ("trainer.max_steps=3", "trainer.precision=float32")
            if word.split("=")[0] not in given
        ]
        config = load([*base, *words])
        return read_bundle(
            fit(config, plan_for_balls, balls, tmp_path_factory.mktemp("run"))
        ).state(str(config.fold))

    return cache(train)


@pytest.mark.parametrize(("key", "word"), TRAINED)
def test_an_override_changes_the_weights(
    key: str, word: str, weights_under: Callable[..., dict[str, Tensor]]
) -> None:
    assert get(load([word]), key) != get(TrainConfig(), key)
    before, after = weights_under(), weights_under(word)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
