"""Every knob of a training, with its default. `load` composes them from overrides; nothing else imports hydra."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    dims: int = 3
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
    """Memory for the activations of one training step, such as 8GB; auto: 1GB on a CPU, 8GB on a GPU."""


@dataclass
class TrainerConfig:
    """Length, batch, precision and optimiser of a training."""

    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = 2
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
    """Where to run."""

    name: str = "auto"


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
