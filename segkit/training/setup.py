"""The setup of a training before its first step: plan, dataset, initial weights and run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import Bundle
from segkit.config.checks import check_effects_with_network
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.split import split_cases
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.identical_images import copies_of, with_voxels_hashes
from segkit.planning.groups import patients_of
from segkit.planning.harmonization import check_cases
from segkit.planning.plan_dataset import given_plan, measured_plan, warn_of_dataset
from segkit.plans.plan import Plan
from segkit.progress import CaseProgress
from segkit.training.compute.device import device_for
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.data.split import AS_IT_WAS
from segkit.training.initialization.origin import Origin, open_origin
from segkit.training.outputs.run_folder import (
    PLAN,
    RUNS,
    check_place,
    default_run_dir,
    prepared_folder,
    run_state,
    safe_name,
)


@dataclass(frozen=True)
class Setup:
    """Everything that a training needs before its first step."""

    config: TrainConfig
    plan: Plan
    dataset: Dataset
    origin: Origin
    """Weights and mask from which the training starts."""
    run_dir: Path
    """Folder of the run."""
    ranks: Ranks = ALONE

    @property
    def weights(self) -> Bundle | None:
        """Model to start from."""
        return self.origin.weights


def set_up(
    config: TrainConfig,
    dataset: Dataset,
    *,
    given: Collection[str],
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: CaseProgress | None = None,
    ranks: Ranks = ALONE,
) -> Setup:
    """Find or make the plan, open weights and mask, and choose the run folder.

    Args:
        config: settings of the training.
        dataset: the cases.
        given: configuration keys that the user gave.
        kind: the study that the run folder belongs to, or None for a training
            (`default_run_dir`).
        settings: settings of the study that determine its results (`default_run_dir`).
        progress: called while the dataset is measured.
        ranks: the processes of the training; rank 0 measures and plans.

    Raises:
        UsageError: a choice that does not fit the machine or the data.
        InputError: a plan, a model or a case that cannot be used.
    """
    check_place(config, dataset.name)
    has_gpu = device_for(config).type == "cuda"
    origin = open_origin(config)

    def make_plan() -> tuple[Plan, Dataset]:
        plan, patients = _plan(
            config, dataset, given=given, has_gpu=has_gpu, progress=progress, ranks=ranks
        )
        _check_harmonization(plan, patients, config, origin)
        return plan, patients

    plan, dataset = ranks.share(make_plan)
    check_effects_with_network(plan.network.name, given)
    # An edited plan may have another batch size than the configuration's default.
    trainer = dataclasses.replace(config.trainer, batch_size=plan.batch_size)
    config = dataclasses.replace(config, trainer=trainer)
    run_dir = (
        Path(config.run_dir)
        if config.run_dir
        else default_run_dir(config, plan, dataset, origin.hashes(), kind=kind, settings=settings)
    )
    return Setup(config, plan, dataset, origin, run_dir, ranks)


def _plan(
    config: TrainConfig,
    dataset: Dataset,
    *,
    given: Collection[str],
    has_gpu: bool,
    progress: CaseProgress | None,
    ranks: Ranks,
) -> tuple[Plan, Dataset]:
    """Return the plan, and the dataset in which cases with the same voxels are one patient."""
    run_dir = Path(config.run_dir) if config.run_dir else RUNS / safe_name(dataset.name) / "run"
    store = prepared_folder(config, run_dir)
    file = _plan_to_resume(config) or config.plan.file
    if file:
        plan = given_plan(file, dataset)
        fingerprint = load_or_measure(dataset, store, progress)
        warn_of_dataset(dataset, fingerprint, plan)
    else:
        plan, fingerprint = measured_plan(
            config, dataset, gpu=has_gpu, progress=progress, store=store, given=given
        )
        # The planner chooses a batch for one device; a batch that the user gave is for all of them.
        device_count = ranks.count if config.trainer.batch_size == "auto" else 1
        plan = dataclasses.replace(plan, batch_size=device_count * plan.batch_size)
    patients = patients_of(dataset, copies_of(fingerprint.cases), config)
    return plan, with_voxels_hashes(patients, fingerprint.cases)


def _plan_to_resume(config: TrainConfig) -> Path | None:
    """Return plan.json of the unfinished run in ``run_dir``; None if there is none."""
    if config.run_dir is None or run_state(Path(config.run_dir)) != "unfinished":
        return None
    return Path(config.run_dir) / PLAN


def _check_harmonization(plan: Plan, dataset: Dataset, config: TrainConfig, origin: Origin) -> None:
    """Check that the harmonization of a plan that was read is that of the cases of this fold.

    Raises:
        InputError: it was fitted to other cases, images or groups (`check_cases`).
    """
    if plan.harmonization is None:
        return
    model = origin.weights.plan if origin.weights else None
    training = split_cases(dataset, config.fold, config.folds).training
    if resumed := _plan_to_resume(config):
        check_cases(plan, training, resumed, model=model, remedy=AS_IT_WAS)
    elif config.plan.file:
        check_cases(plan, training, config.plan.file, model=model)
