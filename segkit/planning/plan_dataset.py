"""Plan a training from overrides: read the dataset, measure it, and run the planner."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from segkit.bundle.card import bundle_path, read_card_and_plan
from segkit.bundle.lookup import resolve_model
from segkit.config.compose import load
from segkit.config.keys import get, known_keys
from segkit.config.loss_catalogue import losses_of_regions
from segkit.config.overrides import given_keys
from segkit.config.schema import ComputeConfig, TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.dataset_check.check import compare_cases
from segkit.dataset_check.problem import MeasuredDataset
from segkit.errors import InputError, UsageError
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.fingerprint import Fingerprint, measure
from segkit.fingerprint.identical_images import copies_of
from segkit.planning.fine_tuning import check_network, tuned_plan
from segkit.planning.groups import folds_reason, patients_of, with_groups_and_folds
from segkit.planning.harmonization import harmonized_plan
from segkit.planning.planner import make_plan
from segkit.planning.task import Task
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.progress import CaseProgress

log = logging.getLogger(__name__)

REPLAN = "Plan this dataset with 'segkit plan', or give dataset.channels and dataset.labels."


def plan(dataset: str | PathLike[str], *overrides: str) -> Plan:
    """Measure a dataset and return the plan for training on it.

    Args:
        dataset: a folder or CSV file in one of the layouts that `segkit.dataset.layouts` reads.
        *overrides: settings as on the command line, such as ``"network.features=[32,64]"``.

    Raises:
        UsageError: an override is unknown or does not fit the data.
        InputError: the dataset cannot be used.

    >>> import segkit, segkit.dataset.phantom, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = segkit.dataset.phantom.write_phantom(folder, cases=2)
    ...     decided = segkit.plan(dataset, "network.features=[8,16]")
    >>> decided.network.name, decided.dims
    ('unet', 3)
    """
    config = load([f"dataset={fspath(dataset)}", *overrides])
    return measured_plan(config, open_dataset(config), given=given_keys(overrides))[0]


def open_dataset(config: TrainConfig) -> Dataset:
    """Return the dataset of the ``dataset=`` setting, with named channels and labels.

    Its notices, for example of files that are left out, are logged as warnings.

    Raises:
        UsageError: no dataset is given, or a setting does not fit it (channel dropout with a single
            channel, a loss that cannot train regions).
        InputError: the dataset cannot be read.
    """
    wanted = config.dataset
    if not wanted.path:
        raise UsageError("no dataset is given. Give dataset=PATH, a folder or a CSV file.")
    dataset = with_names(
        read_dataset(
            Path(wanted.path),
            wanted.channels,
            wanted.labels,
            regions=wanted.regions,
            ignore=wanted.ignore,
        )
    )
    dataset = with_groups_and_folds(dataset, config)
    for notice in dataset.notices:
        log.warning("%s: %s", wanted.path, notice)
    if config.augment.channel_dropout and len(dataset.channels) == 1:
        raise UsageError(
            "augment.channel_dropout leaves out one of several channels, and this dataset has only"
            " one: omit it"
        )
    if dataset.regions and config.trainer.loss not in losses_of_regions():
        known = ", ".join(losses_of_regions())
        raise UsageError(
            f"trainer.loss={config.trainer.loss} cannot train regions: give trainer.loss=, one of"
            f" {known}"
        )
    return dataset


def measured_plan(
    config: TrainConfig,
    dataset: Dataset,
    *,
    gpu: bool | None = None,
    progress: CaseProgress | None = None,
    store: Path | None = None,
    given: Collection[str] = (),
) -> tuple[Plan, Fingerprint]:
    """Measure the dataset, and return its plan and the measurements.

    With ``weights=``, the plan follows that of the model, except for keys that ``given`` contains
    or whose values in ``config`` differ from the defaults.

    Args:
        config: the settings of the training.
        dataset: the dataset, with named channels and labels.
        gpu: whether the training runs on a GPU; by default this is detected (`has_gpu`).
        progress: called after each case with the number of cases done, the number of all cases,
            and the id of the case.
        store: folder in which measurements are kept between runs; by default ``dataset.store``. If
            neither is given, nothing is kept.
        given: keys that the user set.

    Raises:
        UsageError: a setting does not fit the data.
        InputError: a case or a model cannot be used.
    """
    # Check the model first, because measuring the dataset may take long.
    start = _start(config, given) if config.weights else None
    folder = store or (Path(config.dataset.store) if config.dataset.store else None)
    fingerprint = (
        load_or_measure(dataset, folder, progress)
        if folder
        else measure(dataset, progress=progress)
    )
    gpu = has_gpu(config.compute) if gpu is None else gpu
    patches = batch_size(config, gpu)
    if start:
        task = Task(
            fingerprint, dataset, config.network, config.plan, patches, start.model.slice_axis
        )
        decided = tuned_plan(
            task, start.model, mirror=config.augment.mirror, asked=start.asked, where=start.where
        )
    else:
        decided = make_plan(
            fingerprint,
            dataset,
            network=config.network,
            plan=dataclasses.replace(config.plan, memory=memory_budget(config, gpu)),
            batch_size=patches,
            mirror=config.augment.mirror,
        )
    if config.folds_by:
        reasons = {**decided.reasons, "folds": folds_reason(dataset)}
        decided = dataclasses.replace(decided, reasons=reasons)
    patients = patients_of(dataset, copies_of(fingerprint.cases), config)
    model = start.model if start else None
    decided = harmonized_plan(decided, patients, config, model=model)
    warn_of_dataset(dataset, fingerprint, decided)
    return decided, fingerprint


def warn_of_dataset(dataset: Dataset, fingerprint: Fingerprint, plan: Plan) -> None:
    """Log the problems that `segkit check` finds when it compares the cases with each other."""
    measured = MeasuredDataset(dataset, fingerprint.cases, fingerprint.unit)
    for problem in compare_cases(measured, plan.spacing):
        log.warning("%s: %s", problem.case or dataset.name, problem.message)


@dataclass(frozen=True)
class _Start:
    """Model to start from, and the keys whose values take precedence over its plan."""

    where: str
    """Path of the bundle, for messages."""
    model: Plan
    asked: set[str]


def _start(config: TrainConfig, given: Collection[str]) -> _Start:
    bundle = bundle_path(resolve_model(config.weights))
    model = read_card_and_plan(bundle)[1]
    usual = load([f"preset={config.preset}"])  # values of a preset are not the user's choices
    asked = {*given, *(key for key in known_keys() if get(config, key) != get(usual, key))}
    check_network(config.network, model, asked, str(bundle))
    return _Start(str(bundle), model, asked)


def given_plan(path: str | Path, dataset: Dataset) -> Plan:
    """Read an edited plan and check that it fits this dataset.

    Channels, labels, regions and ignore value must be those of the dataset. The number of voxels
    that each layer sees is computed again for the patch in the file; the numbers of groups are
    kept. A plan without coded terms for labels gets those of the dataset.

    Raises:
        InputError: the file is not a plan, or is a plan for another dataset.
    """
    return fitting_plan(read_plan(path), dataset, path)


def fitting_plan(
    decided: Plan, dataset: Dataset, where: str | Path, *, remedy: str = REPLAN
) -> Plan:
    """Return ``decided`` for this dataset, as `given_plan` does.

    Args:
        decided: a plan.
        dataset: the dataset.
        where: file of the plan or of its model, for messages.
        remedy: what the message says to do.

    Raises:
        InputError: it is a plan for another dataset.
    """
    names = tuple(channel.name for channel in decided.channels)
    for what, planned, found in (
        ("channels", names, dataset.channels),
        ("labels", decided.labels, dataset.labels),
        ("regions", decided.regions, dataset.regions),
        ("ignore", decided.ignore, dataset.ignore),
    ):
        if planned != found:
            raise InputError(
                where,
                expected=f"the dataset's {what} {_words(found)}",
                found=_words(planned),
                remedy=remedy,
            )
    return dataclasses.replace(
        decided,
        network=decided.network.for_patch(decided.patch),
        segments=decided.segments or dict(dataset.segments),
    )


def memory_budget(config: TrainConfig, gpu: bool) -> str:
    """Return plan.memory; auto becomes 8GB with a GPU, and is left to the planner on a CPU."""
    return "8GB" if gpu and config.plan.memory == "auto" else config.plan.memory


def batch_size(config: TrainConfig, gpu: bool) -> int | None:
    """Return trainer.batch_size; auto is 2 with a GPU, and left to the planner (None) on a CPU."""
    if config.trainer.batch_size == "auto":
        return 2 if gpu else None
    return int(config.trainer.batch_size)


def has_gpu(compute: ComputeConfig) -> bool:
    """Return whether the training runs on a GPU, without importing torch.

    With compute=slurm this is a GPU of its jobs, otherwise one of this machine.
    """
    if compute.name in ("cpu", "gpu"):
        return compute.name == "gpu"
    if compute.name == "slurm":
        return compute.gpus > 0
    return Path("/proc/driver/nvidia/gpus").is_dir() or shutil.which("nvidia-smi") is not None


def _words(names: object) -> str:
    if isinstance(names, dict):
        return ", ".join(f"{name}={value}" for name, value in names.items()) or "none"
    return ", ".join(names) if isinstance(names, tuple) else str(names)
