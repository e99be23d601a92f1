"""Every setting of a training, with its default. No other module has defaults.

`segkit.config.compose.load` composes a `TrainConfig` from overrides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FORMAT_VERSION = 1
"""Version of the format of config.yaml."""

# OmegaConf fills these classes: they cannot be frozen, and need types that OmegaConf knows.


@dataclass
class DatasetConfig:
    """Location of the cases, and the names of their channels and labels."""

    path: str = ""
    """Folder or CSV file of the dataset."""
    channels: list[str] | None = None
    """Names of the channels; None takes those of the dataset."""
    labels: dict[str, int] | None = None
    """Names and values of the labels, or of some of them; None takes those of the dataset."""
    store: str | None = None
    """Folder for prepared cases, which runs can share; None is ``prepared`` beside the run."""
    regions: dict[str, list[int]] | None = None
    """Overlapping regions and their label values; large regions come before those inside them."""
    ignore: int | None = None
    """Label value of voxels that nobody has annotated."""
    groups: str | None = None
    """Source of the group (site, scanner) of each case: a CSV file, dicom, or intensities.

    The file has the columns case and group. dicom takes manufacturer, model and field strength.
    intensities has plan.harmonization discover the groups. None takes the dataset's column group.
    """
    group_column: str | None = None
    """Column of ``groups`` that holds the group; None is group."""


@dataclass
class NetworkConfig:
    """Type, sizes and normalization of the network; the planner chooses what is None."""

    name: str = "unet"
    """Name of the network, a file in configs/network or the network of another package."""
    dims: int | None = None
    """Number of dimensions, 2 or 3; None is 3, and 2 for pictures and single slices."""
    features: list[int] | None = None
    """Number of channels of each stage; None follows ``widths``."""
    symmetry: str | None = None
    """Symmetry of network=equivariant_unet (segkit/plans/symmetry.py); None is mirror."""
    widths: str = "default"
    """Rule for the channels: default, or nnunet (32, doubled up to 320, in 2D up to 512)."""
    convs: int = 2
    """Number of convolutions in each stage."""
    activation: str = "leaky_relu"
    """Activation function: leaky_relu, relu, silu or gelu."""
    norm: str = "group"
    """Name of the normalization layers (segkit/plans/norm_catalogue.py)."""
    channels_per_group: Any = "auto"
    """Number of channels of each group, or auto, which chooses the groups for each layer."""
    num_groups: int | None = None
    """Number of groups in each layer, instead of ``channels_per_group``."""
    deep_supervision: bool = True
    """True computes the loss at several resolutions of the decoder."""


@dataclass
class PlanConfig:
    """A plan to follow, or values that replace those of the planner. Axes are X, Y, Z in RAS+."""

    file: str | None = None
    """Path of a plan.json to follow."""
    spacing: list[float] | None = None
    """Voxel spacing of the training in mm (pictures: px)."""
    patch: list[int] | None = None
    """Size of a patch in voxels."""
    memory: str = "auto"
    """Memory for the activations of one training step, such as 8GB.

    auto is 500MB on a CPU (250MB in 2D) and 8GB on a GPU.
    """
    harmonization: str | None = None
    """Harmonization of intensities: zscore, nyul or spline, fitted to the training cases, or a file
    that segkit harmonize fit wrote for the same fold; none leaves out that of ``weights``."""


@dataclass
class TrainerConfig:
    """Length, batch, precision and optimizer of a training."""

    max_steps: int | None = None
    """Number of training steps."""
    max_minutes: float | None = None
    """Minutes from the start of the program to the written model, instead of ``max_steps``."""
    batch_size: Any = "auto"
    """Number of patches per step; auto is 2 with a GPU or if a patch covers a scan, else 1."""
    accumulate: int = 1
    """Number of batches whose gradients are accumulated for one step."""
    precision: str = "auto"
    """float32, bfloat16 or float16; auto times those that the machine has and takes the fastest."""
    layout: str = "auto"
    """Memory format of tensors: contiguous or channels_last; auto times both."""
    optimizer: str = "muon"
    """Optimizer: muon, adamw or sgd."""
    learning_rate: float = 4e-3
    """Learning rate of the convolution kernels with muon, else of all parameters."""
    learning_rate_rest: float = 1e-3
    """Learning rate of norms, biases and heads with muon."""
    weight_decay: float = 1e-2
    """Weight decay of the convolution kernels."""
    warmup: float = 0.05
    """Fraction of the schedule in which the learning rate rises."""
    decay_power: float = 0.9
    """Power of the polynomial decay of the learning rate."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; a larger one is scaled down."""
    ema: float = 0.99
    """Decay of the exponential moving average of the weights."""
    foreground: float = 0.5
    """Fraction of patches centered on a voxel of a label, drawn evenly from the case's labels."""
    loss: str = "dice_ce"
    """Name of the loss, or of a loss of another package."""
    lowest_head: bool = True
    """True includes the coarsest head of deep supervision in the loss; nnU-Net leaves it out."""
    save_memory: bool = False
    """True recomputes activations in the backward pass, which takes less memory and more time.

    On a CPU, freed memory is also returned to the system immediately.
    """
    workers: Any = "auto"
    """Number of processes that cut patches; auto is 0 on a CPU and up to 8 with a GPU.

    With 0 the process of the training cuts them.
    """
    threads: int | None = None
    """Number of CPU threads."""
    validations: int = 5
    """Number of validations during a run, the last one at its end."""
    checkpoint_minutes: float = 5.0
    """Minutes between two checkpoints."""
    checkpoint_steps: int | None = None
    """Number of steps between two checkpoints, in addition to those by time and at validations."""
    rewind_step: int | None = None
    """Step after which the weights are written to rewind.safetensors, for ``rewind`` of others."""


@dataclass
class AugmentConfig:
    """Probabilities and ranges of the random augmentation of a patch."""

    until: float = 0.7
    """Fraction of the training with augmentation; after it, only channel_dropout is applied."""
    mirror: Any = "auto"
    """Axes to mirror: none, all, a list such as [0,2], or auto, those that the labels allow."""
    dummy_2d: Any = "auto"
    """Axis along which patches are only mirrored: 0, 1, 2, none, or auto (nnU-Net's rule)."""
    rotate: float = 0.35
    """Probability of a rotation."""
    rotate_degrees: float = 30.0
    """Largest angle of a rotation, in degrees."""
    scale: float = 0.35
    """Probability of a change of size."""
    scale_range: list[float] = field(default_factory=lambda: [0.7, 1.4])
    """Range of the factor by which the content of a patch is enlarged or shrunk."""
    noise: float = 0.1
    """Probability of Gaussian noise."""
    noise_std: float = 0.3
    """Largest standard deviation of the noise, in units of the normalized image."""
    blur: float = 0.2
    """Probability of a Gaussian blur."""
    blur_per_channel: float = 0.5
    """Probability that a channel of a blurred patch is blurred."""
    blur_sigma: list[float] = field(default_factory=lambda: [0.5, 1.0])
    """Range of the standard deviation of the blur, in voxels."""
    brightness: float = 0.15
    """Probability of a change of brightness."""
    brightness_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    """Range of the factor by which all intensities are multiplied."""
    contrast: float = 0.15
    """Probability of a change of contrast."""
    contrast_range: list[float] = field(default_factory=lambda: [0.75, 1.25])
    """Range of the factor by which differences from the mean are multiplied."""
    lowres: float = 0.25
    """Probability of a simulated lower resolution."""
    lowres_per_channel: float = 0.5
    """Probability that the resolution of a channel of such a patch is lowered."""
    lowres_zoom: list[float] = field(default_factory=lambda: [0.5, 1.0])
    """Range of the ratio of the lower resolution to the original one."""
    gamma: float = 0.3
    """Probability of a gamma transform."""
    gamma_range: list[float] = field(default_factory=lambda: [0.7, 1.5])
    """Range of the exponent of the gamma transforms."""
    gamma_inverted: float = 0.1
    """Probability of a gamma transform of the inverted intensities."""
    channel_dropout: float = 0.0
    """Probability that one channel of a patch is left out, so that it may be missing in a scan."""


@dataclass
class ComputeConfig:
    """Hardware, number of processes, and the resources to request from SLURM for a training."""

    name: str = "auto"
    """Choice of hardware, a file in configs/compute."""
    devices: Any = "auto"
    """Number of processes of compute=ddp on each machine; auto is one per GPU."""
    nodes: int = 1
    """Number of machines of compute=ddp; the same command is started on each (docs/scaling.md)."""
    partition: str | None = None
    """Partition of SLURM."""
    timeout: int = 1440
    """Time limit of a job in minutes."""
    gpus: int = 1
    """Number of GPUs of a job."""
    cpus: int = 8
    """Number of CPU cores of a job."""
    memory: str = "32GB"
    """Memory of a job."""


@dataclass
class TrainConfig:
    """All settings of ``segkit train``."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    run_dir: str | None = None
    """Folder of the run; None is runs/<dataset>/<network>-<hash>."""
    seed: int = 0
    """Seed of the initial weights and of all random numbers."""
    fold: Any = 0
    """Number of the fold for validation, counted from 0, or all to train on every case."""
    folds: int | None = None
    """Number of folds, split by patient.

    None is 5, or fewer for few patients, or the folds of a CSV file (column split).
    """
    folds_by: str | None = None
    """group holds out whole groups (sites, scanners): one fold for each, or ``folds`` of them."""
    weights: str | None = None
    """Model to start from: a path or a name."""
    rewind: str | None = None
    """Run folder or file of another training's weights at trainer.rewind_step, to continue from."""
    mask: str | None = None
    """Mask file, run folder or model: the weights that its mask prunes are and stay exactly 0."""
    logger: str = "none"
    """Tracker that gets the rows of training.csv as well: tensorboard or mlflow, both extras."""
    preset: str = "default"
    """Recipe that the other values have started from."""
    format_version: int = FORMAT_VERSION
