"""Checked configurations from KEY=VALUE words."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from segkit.config import compose, run_file
from segkit.config.checks import NEEDS, check
from segkit.config.choices import choices, configs_folder
from segkit.config.compose import load, to_yaml
from segkit.config.keys import get, known_keys
from segkit.config.loss_catalogue import LOSSES
from segkit.config.rules import CHECKS
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.errors import InputError, UsageError
from segkit.networks.blocks import ACTIVATIONS
from segkit.plans.network_catalogue import NETWORKS
from segkit.plans.norm_catalogue import NORMS
from segkit.training.optimization.optimizers import OPTIMIZERS


def test_nothing_given_is_the_dataclass_with_a_length() -> None:
    expected = TrainConfig()
    expected.trainer.max_steps = 2000
    assert load() == expected


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("network=residual_unet", "network.name", "residual_unet"),
        ("network.name=residual_unet", "network.name", "residual_unet"),
        ("network.features=[8,16]", "network.features", [8, 16]),
        ("network.norm=none", "network.norm", "none"),
        ("network.channels_per_group=4", "network.channels_per_group", 4),
        ("network.num_groups=4", "network.num_groups", 4),
        ("compute=gpu", "compute.name", "gpu"),
        ("compute=cpu", "compute.name", "cpu"),
        ("plan.spacing=[1,1,2.5]", "plan.spacing", [1.0, 1.0, 2.5]),
        ("trainer.max_minutes=10", "trainer.max_minutes", 10.0),
        ("trainer.precision=bfloat16", "trainer.precision", "bfloat16"),
        ("augment.mirror=[0,2]", "augment.mirror", [0, 2]),
        ("augment.mirror=none", "augment.mirror", "none"),
        ("fold=all", "fold", "all"),
        ("seed=7", "seed", 7),
        ("dataset.channels=[CT]", "dataset.channels", ["CT"]),
        ("dataset.channels=CT", "dataset.channels", ["CT"]),
        ("dataset.labels={spleen:1,liver:5}", "dataset.labels", {"spleen": 1, "liver": 5}),
        ("dataset.labels={left lung: 1, 'a, b': 2}", "dataset.labels", {"left lung": 1, "a, b": 2}),
        ("dataset.labels={Nïere (li):3}", "dataset.labels", {"Nïere (li)": 3}),
        (
            "dataset.regions={whole tumour:[1,2],core:2}",
            "dataset.regions",
            {"whole tumour": [1, 2], "core": [2]},
        ),
        ("dataset.regions={'a, b': [-1, 2], c: 2}", "dataset.regions", {"a, b": [-1, 2], "c": [2]}),
        ("dataset.ignore=255", "dataset.ignore", 255),
    ],
)
def test_override(word: str, key: str, value: object) -> None:
    assert get(load([word]), key) == value


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("dataset", "dataset.path"),
        ("plan", "plan.file"),
        ("run_dir", "run_dir"),
        ("weights", "weights"),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "a b",
        "a,b",
        "a=b",
        "a(1)",
        "[x]",
        "{x}",
        "Bücher/日本",
        "it's",
        '"q"',
        "${x",
        "C:\\data\\x",
        "null.d",
        "#x",
    ],
)
def test_any_path_is_taken_as_typed(word: str, key: str, path: str) -> None:
    assert get(load([f"{word}={path}"]), key) == path


def test_leading_tilde_is_the_home_folder() -> None:
    assert load(["dataset=~/scans"]).dataset.path == os.path.expanduser("~/scans")
    assert load(["dataset=~no-such-user/x"]).dataset.path == "~no-such-user/x"


def test_empty_path_is_none() -> None:
    assert load(["weights=", "run_dir=null"]) == load()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["network.nrom=group"], r"unknown override 'network.nrom'. Did you mean network.norm"),
        (
            ["trainer.loss=focal"],
            r"not 'focal'. If focal is a loss of a package of your own, install that package here",
        ),
        (["trainer.loss=dice_cee"], r"not 'dice_cee'. Did you mean dice_ce"),
        (["trainer.lr=1"], r"unknown override 'trainer.lr'. Did you mean trainer.learning_rate"),
        (["data=scans"], r"unknown override 'data'. Did you mean dataset\?"),
        (["lr=1"], r"unknown override 'lr'. Did you mean trainer.learning_rate"),
        (["epochs=1"], r"Did you mean trainer.max_steps"),
        (["batch_size=2"], r"Did you mean trainer.batch_size\?"),
        (["qqqqqqqq=2"], r"unknown override 'qqqqqqqq'. 'segkit train --help' lists"),
        (["format_version=2"], "unknown override 'format_version'"),
        (["trainer={max_steps:1}"], "unknown override 'trainer'"),
        (
            ["network=residual"],
            r"unknown choice network=residual. Did you mean residual_unet\? Choices: equivariant",
        ),
        (["network=qqq"], "unknown choice network=qqq. Choices: equivariant_unet"),
        (["compute=tpu"], "unknown choice compute=tpu"),
        (
            ["trainer.max_steps=abc"],
            "trainer.max_steps must be a whole number of at least 1, not 'abc'",
        ),
        (["trainer.max_steps=0"], "trainer.max_steps must be a whole number of at least 1, not 0"),
        (
            ["trainer.batch_size=null"],
            "trainer.batch_size must be a whole number of at least 1, or auto, not None",
        ),
        (["trainer.max_minutes=-1"], "trainer.max_minutes must be a number above 0"),
        (
            ["trainer.precision=half"],
            "trainer.precision must be auto, float32, bfloat16 or float16, not 'half'",
        ),
        (["trainer.learning_rate=nan"], "trainer.learning_rate must be a number above 0, not nan"),
        (["network.dims=4"], "network.dims must be 2 or 3, not 4"),
        (
            ["network.norm=grup"],
            "network.norm must be group, instance, layer, group_ws, batch,",
        ),
        (["network.features=[]"], "network.features must be a list of one or more whole numbers"),
        (["network.deep_supervision=maybe"], "network.deep_supervision=maybe.*lists the overrides"),
        (["fold=-1"], "fold must be a whole number of at least 0, or all"),
        (["fold=some"], "fold must be a whole number of at least 0, or all"),
        (["fold=null"], "fold must be .*, not None"),
        (["augment.rotate=1.5"], "augment.rotate must be a number from 0 to 1"),
        (["augment.mirror=[3]"], "augment.mirror must be auto, none, all or a list"),
        (["augment.mirror=[0,0]"], "augment.mirror must be auto, none, all or a list"),
        (["augment.gamma_range=[2,1]"], r"augment.gamma_range must be a list \[from,to\]"),
        (["plan.spacing=[1,1]"], "plan.spacing must be a list of 3 numbers above 0"),
        (["plan.patch=[8,8,0]"], "plan.patch must be a list of 3 whole numbers"),
        (["plan.memory=much"], "plan.memory must be a size such as 8GB, of at least 1MiB, or auto"),
        (
            ["plan.memory=1MB"],
            "plan.memory must be a size such as 8GB, of at least 1MiB, or auto, not '1MB'",
        ),
        (
            ["plan.memory=8"],
            "plan.memory must be a size such as 8GB, of at least 1MiB, or auto, not 8",
        ),
        (
            ["dataset.regions={core:[2],whole:[1,2]}"],
            "dataset.regions must be regions .* that no later region has",
        ),
        (
            ["dataset.regions={whole:[0,1]}"],
            "dataset.regions must be regions with whole numbers other than 0",
        ),
        (["dataset.regions={whole:[]}"], "dataset.regions must be regions"),
        (["dataset.regions={}"], "dataset.regions must be regions"),
        (["dataset.regions=[1]"], "dataset.regions must be regions"),
        (["dataset.regions={a:1,a:[2]}"], "dataset.regions must be regions"),
        (
            ["dataset.regions={a:1}", "dataset.labels={a:1}"],
            "give dataset.labels or dataset.regions, not both",
        ),
        (["dataset.ignore=0"], "dataset.ignore must be a whole number other than 0, not 0"),
        (["dataset.labels=[a]"], "dataset.labels must be names with different whole numbers"),
        (["dataset.labels={a:b}"], "dataset.labels must be names with different whole numbers"),
        (
            ["dataset.labels={a:0}"],
            "dataset.labels must be names with different whole numbers other than 0",
        ),
        (["dataset.labels={a:1,b:1}"], "dataset.labels must be names with different whole numbers"),
        (["dataset.channels=[a,a]"], "dataset.channels must be a list of different names"),
        (["dataset.channels=["], "dataset.channels must be a list of different names"),
        (["network.channels_per_group=2", "network.num_groups=4"], "network.num_groups, not both"),
        (
            ["network.norm=batch", "network.num_groups=4"],
            "groups go with network.norm=group or group_ws only",
        ),
        (["trainer.max_steps=1", "trainer.max_minutes=1"], "trainer.max_minutes, not both"),
        (["weights=a", "rewind=b"], "give weights or rewind, not both"),
        (["trainer.max_steps=5", "trainer.rewind_step=6"], "give at most trainer.max_steps=5"),
        (["plan=p.json", "network.dims=2"], "plan=p.json has decided network.dims already"),
        (["plan.patch=[8,8,8]", "plan.memory=1GB"], "give plan.memory or plan.patch, not both"),
        (
            ["network=residual_unet", "network.convs=3"],
            "network.convs changes nothing with network=residual_unet",
        ),
        (
            ["network=monai_segresnet", "network.deep_supervision=true"],
            "changes nothing with network=monai_segresnet",
        ),
        (
            ["trainer.optimizer=sgd", "trainer.learning_rate_rest=1"],
            "with trainer.optimizer=sgd, only with muon",
        ),
        (
            ["preset=nnu"],
            r"unknown choice preset=nnu. Did you mean nnunet\? Choices: default, nnunet",
        ),
        (
            ["network.features=[8,16]", "network.widths=nnunet"],
            "network.widths changes nothing with network.features",
        ),
        (["weights=m", "network.widths=nnunet"], "network.widths changes nothing with weights"),
        (
            ["network.deep_supervision=false", "trainer.lowest_head=false"],
            "trainer.lowest_head changes nothing with",
        ),
        (
            ["network=monai_dynunet", "trainer.save_memory=true"],
            "trainer.save_memory changes nothing with network=monai",
        ),
        (
            ["network.dims=2", "augment.dummy_2d=0"],
            "augment.dummy_2d changes nothing with network.dims=2",
        ),
        (["compute.devices=2"], "compute.devices changes nothing with compute=auto, only with ddp"),
        (
            ["compute=cpu", "compute.nodes=2"],
            "compute.nodes changes nothing with compute=cpu, only with ddp",
        ),
        (
            ["compute=ddp", "compute.devices=0"],
            "compute.devices must be a whole number from 1 to 1024, or auto",
        ),
        (["seed=9223372036854775808"], "seed must be a whole number from 0 to 9223372036854775807"),
        (["trainer.warmup=1"], "trainer.warmup must be a number from 0 to 0.9"),
        (
            ["augment.blur_sigma=[0,1]"],
            r"augment.blur_sigma must be a list \[from,to\] .* at least 0.01",
        ),
        (["trainer.threads=5000"], "trainer.threads must be a whole number from 1 to 1024"),
        (["trainer.workers=5000"], "trainer.workers must be a whole number from 0 to 256, or auto"),
        (["seed=1", "seed=2"], "seed is given twice: give it one value"),
        (["dataset=a", "dataset.path=b"], "dataset.path is given twice"),
        (["network=unet", "network.name=unet"], "network.name is given twice"),
        (["dataset.labels={a:1,a:2}"], r"dataset.labels must be names .*not '\{a:1,a:2\}'"),
        (["dataset.labels={a:{b:1}}"], "dataset.labels must be names"),
        (["dataset.labels=" + "[" * 1100], r"dataset.labels must be names .*\[\.\.\.'"),
        (["dataset.channels=[[a]]"], "dataset.channels must be a list of different names"),
        (["seed"], "cannot read the override 'seed': .*KEY=VALUE"),
        (["fold=all", "folds=3"], "folds changes nothing with fold=all"),
        (["folds=1"], "folds must be a whole number from 2 to 1000"),
        (["+seed=1"], r"cannot use the override '\+seed=1'"),
        (["~seed"], "cannot use the override '~seed'"),
        (
            ["seed=0,1"],
            "'seed=0,1' names several values: write a list as .*, or give --multirun",
        ),
        (["compute.cpus=4"], "compute.cpus changes nothing with compute=auto, only with slurm"),
        (["compute=slurm", "compute.gpus=2"], "compute.gpus must be 0 or 1, not 2"),
        (["compute=slurm", "compute.memory=auto"], "compute.memory must be a size such as 32GB"),
        (
            ["compute=slurm", "compute.timeout=0"],
            "compute.timeout must be a whole number of at least 1",
        ),
        (
            ["compute=slurm", "compute.partition=''"],
            "compute.partition must be the name of a SLURM partition",
        ),
    ],
)
def test_wrong_override(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(words)


def test_the_default_of_every_key_can_be_given() -> None:
    of_others = ("compute.", "network.symmetry")
    idle = {"plan.file", *(key for key in NEEDS if key.startswith(of_others))}
    words = [f"{key}={_typed(get(TrainConfig(), key))}" for key in known_keys() if key not in idle]
    assert load(words) == load()


def _typed(value: object) -> str:
    return "null" if value is None else str(value).replace(" ", "")


def test_every_check_belongs_to_a_key() -> None:
    assert set(CHECKS) <= set(known_keys())


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("network.activation", ACTIVATIONS),
        ("network.norm", NORMS),
        ("trainer.loss", LOSSES),
        ("trainer.optimizer", OPTIMIZERS),
    ],
)
def test_choices_are_those_of_the_table(key: str, table: object) -> None:
    words = CHECKS[key][1].removesuffix(" or one that an installed package offers")
    assert words.replace(" or ", ", ").split(", ") == list(table)  # type: ignore[call-overload]


def test_network_files_are_those_of_the_table() -> None:
    assert choices("network") == sorted(NETWORKS)


def test_hydra_leaves_folder_files_and_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger().handlers)
    load(["network=residual_unet"])
    assert Path.cwd() == tmp_path
    assert not list(tmp_path.iterdir())
    assert logging.getLogger().handlers == handlers


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = load(
        ["dataset=${x 'é'", "dataset.labels={left lung:3}", "augment.mirror=[0]", "fold=all"]
    )
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert read_config(tmp_path / "config.yaml") == config


def test_frozen_version_1_loads() -> None:
    config = read_config(Path(__file__).parents[1] / "data" / "config_v1.yaml")
    assert (config.network.name, config.trainer.max_steps, config.format_version) == (
        "residual_unet",
        500,
        1,
    )
    check(config)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("format_version: 2", "format 2 of a newer segkit"),
        ("format_version: 1\nnonsense: 3", "unknown keys nonsense"),
        ("format_version: 1\nfold: x", "fold must be"),
        ("format_version: 1\ndataset: {labels: x}", "dataset.labels must be names"),
        ("format_version: 1\ndataset: {labels: {a: x}}", "dataset.labels must be names"),
        ("format_version: 1\ndataset: {channels: [1]}", "dataset.channels must be a list"),
        ("format_version: 1\nnetwork: 3", "TypeError"),
        ("- 1", "TypeError"),
        ("{", r"ParserError: while parsing a flow node\. Use"),
    ],
)
def test_bad_config_file(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(
        InputError, match=rf"(?s)config.yaml: expected a training's config.*{found}"
    ):
        read_config(tmp_path / "config.yaml")


def test_a_run_with_a_loss_of_a_package_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("format_version: 1\ntrainer: {loss: focal}")
    with pytest.raises(InputError, match=r"not 'focal'.*Install the package that offers this loss"):
        read_config(tmp_path / "config.yaml")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text('{"needs": {"loss": "my-parts==1.0"}}')
    with pytest.raises(InputError, match=r"If you trust the package: pip install my-parts==1.0"):
        read_config(tmp_path / "config.yaml")


def test_older_formats_are_lifted_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        run_file.UPGRADES, 0, lambda old: {"seed": old["sead"], "format_version": 1}
    )
    (tmp_path / "config.yaml").write_text("format_version: 0\nsead: 5")
    assert read_config(tmp_path / "config.yaml").seed == 5


def test_every_caller_gets_a_configuration_of_its_own() -> None:
    words = ["network.features=[8,16]", "seed=7"]
    first = load(words)
    first.seed = 1
    first.network.features.append(32)
    assert (load(words).seed, load(words).network.features) == (7, [8, 16])


def test_a_preset_that_was_edited_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(configs_folder(), tmp_path / "configs")
    monkeypatch.setattr(compose, "configs_folder", lambda: tmp_path / "configs")
    preset = tmp_path / "configs/preset/nnunet.yaml"
    before = load(["preset=nnunet"]).trainer.learning_rate
    text = preset.read_text()
    assert "learning_rate: 1.0e-2\n" in text
    preset.write_text(text.replace("learning_rate: 1.0e-2\n", "learning_rate: 0.5\n"))
    os.utime(preset, ns=(1, 1))
    assert (before, load(["preset=nnunet"]).trainer.learning_rate) == (0.01, 0.5)
