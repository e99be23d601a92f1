"""Every knob of a training, with its default. `load` composes them from overrides; nothing else imports hydra."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segkit.config_idle import check_none_idle, check_none_twice
from segkit.config_keys import get, leaves, put
from segkit.config_values import CHECKS
from segkit.config_words import GROUPS, PATHS, given_keys, names_value, path_value
from segkit.errors import UsageError

# OmegaConf composes into these classes: they must stay plain (not frozen) and typed with what OmegaConf knows.
FORMAT_VERSION = 1


@dataclass
class DatasetConfig:
    """Where the cases are; names for layouts that carry none; a subset of labels."""

    path: str = ""
    channels: list[str] | None = None
    labels: dict[str, int] | None = None


@dataclass
class NetworkConfig:
    """The network's family, sizes and norm. What is None is decided by the planner."""

    name: str = "unet"
    dims: int | None = None
    """2 or 3; None is 3, and 2 for pictures and single slices."""
    features: list[int] | None = None
    convs: int = 2
    activation: str = "leaky_relu"
    norm: str = "group"
    channels_per_group: Any = "auto"
    """auto, or a number of channels per group."""
    num_groups: int | None = None
    deep_supervision: bool = True


@dataclass
class PlanConfig:
    """A plan to follow (``file``), or bends of the planner's rules. Spacing in mm, axes X, Y, Z in RAS+."""

    file: str | None = None
    spacing: list[float] | None = None
    patch: list[int] | None = None
    memory: str = "auto"
    """Memory for the activations of one training step, such as 8GB; auto: 500MB on a CPU (2D 250MB), 8GB on a GPU."""


@dataclass
class TrainerConfig:
    """Length, batch, precision and optimiser of a training."""

    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: Any = "auto"
    """Patches of a step; auto: 2 with a GPU or where a patch shows a whole scan, else 1."""
    accumulate: int = 1
    precision: str = "auto"
    """auto times what the machine can do and takes the fastest; or float32, bfloat16, float16."""
    layout: str = "auto"
    """auto (timed), contiguous or channels_last."""
    optimizer: str = "muon"
    learning_rate: float = 4e-3
    """Of convolution kernels under muon, else of everything."""
    learning_rate_rest: float = 1e-3
    """Of norms, biases and heads under muon."""
    weight_decay: float = 1e-2
    warmup: float = 0.05
    """Share of the schedule in which the learning rate rises."""
    decay_power: float = 0.9
    gradient_clip: float = 1.0
    ema: float = 0.99
    foreground: float = 0.5
    """Share of patches centred on a voxel of a label that is drawn evenly from those of the case."""
    loss: str = "dice_ce"
    workers: int = 0
    threads: int | None = None
    validations: int = 5
    """How often the validation cases are predicted during a run, the last time at its end."""
    checkpoint_minutes: float = 5.0


@dataclass
class AugmentConfig:
    """Probabilities and ranges of the random changes of a patch."""

    mirror: Any = "auto"
    """auto (the axes that the labels' geometry allows), none, or a list of axes such as [0,2]."""
    rotate: float = 0.35
    """Probability of a rotation; with it its angle."""
    rotate_degrees: float = 30.0
    scale: float = 0.35
    scale_range: list[float] = field(default_factory=lambda: [0.7, 1.4])
    noise: float = 0.1
    noise_std: float = 0.3
    blur: float = 0.2
    blur_sigma: list[float] = field(default_factory=lambda: [0.5, 1.0])
    brightness: float = 0.15
    brightness_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    contrast: float = 0.15
    contrast_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    gamma: float = 0.3
    gamma_range: list[float] = field(default_factory=lambda: [0.7, 1.5])
    gamma_inverted: float = 0.1


@dataclass
class ComputeConfig:
    """Where to run; what follows the name is asked of SLURM for each training."""

    name: str = "auto"
    partition: str | None = None
    timeout: int = 1440
    """Minutes."""
    gpus: int = 1
    cpus: int = 8
    memory: str = "32GB"


@dataclass
class TrainConfig:
    """Everything that `segkit train` can be told."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    run_dir: str | None = None
    seed: int = 0
    fold: Any = 0
    """0 to k-1, or all to train on every case."""
    weights: str | None = None
    format_version: int = FORMAT_VERSION


DEFAULT_STEPS = 2000
"""Length of a training that was given neither steps nor minutes."""


def load(overrides: Sequence[str] = ()) -> TrainConfig:
    """Compose the configuration from KEY=VALUE words; what comes back is plain dataclasses, checked.

    >>> config = load(["dataset=scans (new)", "network=residual_unet", "trainer.max_minutes=10"])
    >>> config.dataset.path, config.network.name, config.trainer.max_minutes, config.trainer.max_steps
    ('scans (new)', 'residual_unet', 10.0, None)

    Raises:
        UsageError: an unknown key or choice, or a value of the wrong type or range; names it and near misses.
    """
    typed, taken = [], {}
    check_none_twice(overrides)
    for word in overrides:
        key, equals, text = word.partition("=")
        if equals and key in PATHS:
            taken[PATHS[key]] = path_value(text) or get(TrainConfig(), PATHS[key])
        elif equals and key in ("dataset.channels", "dataset.labels"):
            taken[key] = names_value(key, text)
        else:
            typed.append(_checked_word(word))
    config = _compose(typed)
    for key, value in taken.items():
        put(config, key, value)
    if config.trainer.max_steps is None and config.trainer.max_minutes is None:
        config.trainer.max_steps = DEFAULT_STEPS
    check(config)
    check_none_idle(config, given_keys(overrides))
    return config


def check(config: TrainConfig) -> None:
    """Check every value, and those that exclude each other.

    Raises:
        UsageError: names the key, what it may be, and what it is.
    """
    for key in known_keys():
        _check_value(key, get(config, key))
    network, trainer = config.network, config.trainer
    if network.num_groups is not None and network.channels_per_group != "auto":
        raise UsageError("give network.channels_per_group or network.num_groups, not both")
    if network.norm != "group" and (network.num_groups is not None or network.channels_per_group != "auto"):
        raise UsageError(f"groups go with network.norm=group only, not with network.norm={network.norm}")
    if trainer.max_steps is not None and trainer.max_minutes is not None:
        raise UsageError("give trainer.max_steps or trainer.max_minutes, not both")


def to_yaml(config: TrainConfig) -> str:
    """The text of config.yaml: every knob, in the order of the dataclasses."""
    return str(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True))


def known_keys() -> list[str]:
    """Every dotted key that an override can set, in the order of the dataclasses."""
    return [key for key in leaves(TrainConfig()) if key != "format_version"]


def choices(group: str) -> list[str]:
    """What ``group=`` (network, compute) may be: the files of configs/GROUP."""
    return sorted(file.stem for file in (_configs() / group).glob("*.yaml"))


def _configs() -> Path:
    """The wheel carries configs/ inside the package; a checkout has it beside."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def _compose(words: list[str]) -> TrainConfig:
    ConfigStore.instance().store(name="schema", node=TrainConfig)
    try:
        with initialize_config_dir(str(_configs().resolve()), version_base="1.3", job_name="segkit"):
            return cast(TrainConfig, OmegaConf.to_object(compose("train", overrides=words)))
    except (HydraException, OmegaConfBaseException) as error:
        reasons = [str(reason).splitlines()[0] for reason in (error, error.__cause__) if str(reason or "")]
        raise UsageError(f"{': '.join(reasons)}. 'segkit train --help' lists the overrides.") from error


def _checked_word(word: str) -> str:
    """The override as Hydra shall see it, its key and value known to be good."""
    override = parse_override(word)
    if override.is_sweep_override():
        raise UsageError(f"{word!r} names several values: write a list as [a,b], and for a run of each give --multirun")
    key = override.key_or_group
    for group in GROUPS:
        if key in (group, f"{group}.name"):
            return f"{group}={_choice(group, str(override.value()))}"
    if key not in known_keys():
        raise UsageError(f"unknown override {key!r}. {_near_keys(key)}")
    _check_value(key, override.value())
    return word


def parse_override(word: str) -> Override:
    """KEY=VALUE, or several values to sweep over, by Hydra's grammar.

    Raises:
        UsageError: another form, or another operation.
    """
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        problem = str(error).splitlines()[0]
        raise UsageError(
            f"cannot read the override {word!r}: {problem}. Write KEY=VALUE, quoting the value."
        ) from error
    if override.type is not OverrideType.CHANGE or override.package is not None:
        raise UsageError(f"cannot use the override {word!r}: write KEY=VALUE, without +, ~ or @")
    return override


def _choice(group: str, name: str) -> str:
    if name in choices(group):
        return name
    near = difflib.get_close_matches(name, choices(group), n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"unknown choice {group}={name}. {hint}Choices: {', '.join(choices(group))}.")


def _near_keys(key: str) -> str:
    keys = [*known_keys(), *GROUPS]
    same_end = [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]]
    near = [*same_end, *difflib.get_close_matches(key, keys, n=3, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    return f"{hint}'segkit train --help' lists the overrides."


def _check_value(key: str, value: Any) -> None:
    if key not in CHECKS or (value is None and get(TrainConfig(), key) is None):
        return
    good, words = CHECKS[key]
    if value is None or not good(value):
        raise UsageError(f"{key} must be {words}, not {value!r}")
