"""From overrides to a Plan: read the dataset, measure it, and let the planner decide."""

from __future__ import annotations

import dataclasses
import shutil
from os import PathLike, fspath
from pathlib import Path

from segkit.config import ComputeConfig, TrainConfig, load
from segkit.dataset import Dataset
from segkit.dataset_layouts import read_dataset
from segkit.errors import InputError, UsageError
from segkit.io.named import named
from segkit.planning.fingerprint import Fingerprint, Progress, measure
from segkit.planning.planner import make_plan
from segkit.plans import Plan, read_plan


def plan(dataset: str | PathLike[str], *overrides: str) -> Plan:
    """Measure ``dataset`` and decide how to train on it.

    >>> import segkit, segkit.phantom, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     decided = segkit.plan(segkit.phantom.write_phantom(folder, cases=2), "network.features=[8,16]")
    >>> decided.network.name, decided.dims
    ('unet', 3)

    Raises:
        UsageError: an override that makes no sense.
        InputError: a dataset that cannot be used.
    """
    config = load([f"dataset={fspath(dataset)}", *overrides])
    return measured_plan(config, open_dataset(config))[0]


def open_dataset(config: TrainConfig) -> Dataset:
    """The dataset of ``dataset=``, its channels and labels named.

    Raises:
        UsageError: no dataset given.
        InputError: a dataset that cannot be read.
    """
    wanted = config.dataset
    if not wanted.path:
        raise UsageError("which dataset? Give dataset=PATH, a folder or a CSV file.")
    return named(read_dataset(Path(wanted.path), wanted.channels, wanted.labels))


def measured_plan(
    config: TrainConfig, dataset: Dataset, *, gpu: bool | None = None, progress: Progress | None = None
) -> tuple[Plan, Fingerprint]:
    """Measure the dataset and plan by the rules that ``config`` bends, for a ``gpu`` or for what is found here.

    Raises:
        UsageError: a choice that does not fit the data.
        InputError: a case that cannot be used.
    """
    fingerprint = measure(dataset, progress=progress)
    gpu = has_gpu(config.compute) if gpu is None else gpu
    wanted = dataclasses.replace(config.plan, memory=memory_budget(config, gpu))
    decided = make_plan(
        fingerprint,
        dataset,
        network=config.network,
        plan=wanted,
        batch_size=batch_size(config, gpu),
        mirror=config.augment.mirror,
    )
    return decided, fingerprint


def given_plan(path: str | Path, dataset: Dataset) -> Plan:
    """Read an edited plan and check that it is one for this dataset.

    After an edit of the patch the voxels that each layer sees are counted anew; its groups stay as they are.

    Raises:
        InputError: not a plan, or one with other channels or labels.
    """
    decided = read_plan(path)
    names = tuple(channel.name for channel in decided.channels)
    for what, planned, found in (
        ("channels", names, dataset.channels),
        ("labels", decided.labels, dataset.labels),
    ):
        if planned != found:
            raise InputError(
                path,
                expected=f"the dataset's {what} {_words(found)}",
                found=_words(planned),
                remedy="Plan this dataset with 'segkit plan', or give dataset.channels and dataset.labels.",
            )
    return dataclasses.replace(decided, network=decided.network.on(decided.patch))


def memory_budget(config: TrainConfig, gpu: bool) -> str:
    """What plan.memory=auto stands for: 8GB with a GPU; on a CPU the planner's own budget, which is left as auto."""
    return "8GB" if gpu and config.plan.memory == "auto" else config.plan.memory


def batch_size(config: TrainConfig, gpu: bool) -> int | None:
    """What trainer.batch_size=auto stands for: 2 with a GPU, else the planner decides."""
    if config.trainer.batch_size == "auto":
        return 2 if gpu else None
    return int(config.trainer.batch_size)


def has_gpu(compute: ComputeConfig) -> bool:
    """Whether ``compute=`` means a GPU, for auto here and for slurm in its jobs; asked without importing torch."""
    if compute.name != "auto":
        return compute.name == "gpu" or (compute.name == "slurm" and compute.gpus > 0)
    return Path("/proc/driver/nvidia/gpus").is_dir() or shutil.which("nvidia-smi") is not None


def _words(names: object) -> str:
    if isinstance(names, dict):
        return ", ".join(f"{name}={value}" for name, value in names.items())
    return ", ".join(names) if isinstance(names, tuple) else str(names)
