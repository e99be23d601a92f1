"""Every knob of a training, with its default: the only home of defaults. `config.load` composes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# OmegaConf composes into these classes: they must stay plain (not frozen) and typed with what OmegaConf knows.
FORMAT_VERSION = 1


@dataclass
class DatasetConfig:
    """Where the cases are; names for layouts that carry none; a subset of labels, or regions that overlap."""

    path: str = ""
    channels: list[str] | None = None
    labels: dict[str, int] | None = None
    store: str | None = None
    """Where prepared cases are kept and shared between runs; None: in ``prepared`` beside the run."""
    regions: dict[str, list[int]] | None = None
    """Each made of these values of the label files; small ones after the large ones that hold them."""
    ignore: int | None = None
    """Value of voxels that nobody has annotated."""


@dataclass
class NetworkConfig:
    """The network's family, sizes and norm. What is None is decided by the planner."""

    name: str = "unet"
    dims: int | None = None
    """2 or 3; None is 3, and 2 for pictures and single slices."""
    features: list[int] | None = None
    widths: str = "default"
    """The rule for features where none are given: default, or nnunet (32 doubled up to 320, in 2D up to 512)."""
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
    lowest_head: bool = True
    """Whether the coarsest head of deep supervision counts in the loss; nnU-Net leaves it out."""
    save_memory: bool = False
    """Whether to compute activations anew in the backward pass, and on a CPU to give freed memory back at once."""
    workers: Any = "auto"
    """Processes that cut patches; 0: the training does it. auto: 0 on a CPU, up to 8 with a GPU."""
    threads: int | None = None
    validations: int = 5
    """How often the validation cases are predicted during a run, the last time at its end."""
    checkpoint_minutes: float = 5.0
    checkpoint_steps: int | None = None
    """A checkpoint after every so many steps, beside those by time and after validations."""


@dataclass
class AugmentConfig:
    """Probabilities and ranges of the random changes of a patch."""

    until: float = 0.7
    """Share of the training after which patches are cut as they are, but for channel_dropout; 1: none is."""
    mirror: Any = "auto"
    """auto (the axes that the labels' geometry allows), none, all, or a list of axes such as [0,2]."""
    dummy_2d: Any = "auto"
    """auto (slabs, by nnU-Net's rule), none, or the axis along which only mirroring acts: 0, 1 or 2."""
    rotate: float = 0.35
    """Probability of a rotation; with it its angle."""
    rotate_degrees: float = 30.0
    scale: float = 0.35
    scale_range: list[float] = field(default_factory=lambda: [0.7, 1.4])
    noise: float = 0.1
    noise_std: float = 0.3
    blur: float = 0.2
    blur_per_channel: float = 0.5
    """Probability of each channel of a blurred patch."""
    blur_sigma: list[float] = field(default_factory=lambda: [0.5, 1.0])
    brightness: float = 0.15
    brightness_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    contrast: float = 0.15
    contrast_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    lowres: float = 0.25
    """Probability that a lower resolution is simulated."""
    lowres_per_channel: float = 0.5
    lowres_zoom: list[float] = field(default_factory=lambda: [0.5, 1.0])
    gamma: float = 0.3
    gamma_range: list[float] = field(default_factory=lambda: [0.7, 1.5])
    gamma_inverted: float = 0.1
    channel_dropout: float = 0.0
    """Probability that one channel is left out of a patch, so that it may be missing at prediction."""


@dataclass
class ComputeConfig:
    """Where to run, with how many processes, and what is asked of SLURM for each training."""

    name: str = "auto"
    devices: Any = "auto"
    """Processes of compute=ddp on a machine; auto: one per GPU."""
    nodes: int = 1
    """Machines of compute=ddp, on each of which the same command is started (docs/scaling.md)."""
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
    folds: int | None = None
    """Into how many folds the patients are divided; None: 5, fewer for few patients, or a CSV's own (column split)."""
    weights: str | None = None
    logger: str = "none"
    """A tracker that gets the rows of training.csv as well; tensorboard and mlflow are extras to install."""
    preset: str = "default"
    """Whose recipe the rest started from."""
    format_version: int = FORMAT_VERSION
