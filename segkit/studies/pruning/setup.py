"""Prepare a pruning before its first round: model, plan, dataset and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import ensemble_paths, resolve_model
from segkit.config.overrides import read_overrides
from segkit.config.schema import TrainConfig
from segkit.config.study_words import given_settings
from segkit.errors import UsageError
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.identical_images import (
    copies_as_one_patient,
    copies_of,
    with_voxels_hashes,
)
from segkit.networks.pruning import channel_sets
from segkit.planning.plan_dataset import fitting_plan, open_dataset, warn_of_dataset
from segkit.progress import CaseProgress
from segkit.studies.pruning.settings import Budget, decided_keys
from segkit.studies.study_folder import continued_config
from segkit.studies.study_overrides import check_here, leave_out
from segkit.training.initialization.origin import Origin
from segkit.training.model_settings import settings_of_training, take_settings
from segkit.training.outputs.run_folder import (
    PRUNING,
    RUNS,
    default_run_dir,
    folder_kind,
    prepared_folder,
    read_study,
    run_state,
    safe_name,
)
from segkit.training.setup import Setup

OTHER_DATA = (
    "Give the dataset of the model, or one with the same channels and labels; dataset.channels and"
    " dataset.labels name them."
)
OF_MODEL = ("dataset.", "trainer.", "augment.", "fold", "folds", "seed")
"""Prefixes of the settings that are those of the model's training, unless the user gives others."""
NOT_OF_MODEL = (
    "dataset.path",
    "dataset.store",
    "trainer.max_steps",
    "trainer.max_minutes",
    "trainer.workers",
    "trainer.threads",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_steps",
    "trainer.rewind_step",
    "trainer.precision",
    "trainer.layout",
)
"""Those of them that belong to a machine or to the length of a training."""


def model_to_prune(name: str) -> Bundle:
    """Return the model, after a check that some of its channels can be removed.

    Raises:
        UsageError: an ensemble, or no such model.
        InputError: it cannot be read, or it has a network or norm that cannot be pruned exactly.
    """
    paths = ensemble_paths(resolve_model(name))
    model = read_bundle(paths[0])
    if len(paths) > 1 or len(model.folds) > 1:
        raise UsageError(
            f"{name} is an ensemble of {len(paths) if len(paths) > 1 else len(model.folds)}"
            " networks, and one is pruned at a time: give the run of one of them"
        )
    channel_sets(model.plan)
    return model


def set_up_pruning(
    model: Bundle, words: Sequence[str], budget: Budget, progress: CaseProgress | None = None
) -> Setup:
    """Return settings, plan, dataset and folder of a pruning, which is new or continues.

    Args:
        model: the model.
        words: KEY=VALUE overrides of its trainings.
        budget: the budget.
        progress: called while cases are measured.

    Raises:
        UsageError: an override that makes no sense or contradicts the pruning that continues.
        InputError: a dataset that cannot be used, or is not one for this model.
    """
    config = _config(model, words, budget)
    dataset = open_dataset(config)
    plan = fitting_plan(model.plan, dataset, model.path, remedy=OTHER_DATA)
    run_dir = Path(config.run_dir) if config.run_dir else RUNS / safe_name(dataset.name) / "run"
    fingerprint = load_or_measure(dataset, prepared_folder(config, run_dir), progress)
    warn_of_dataset(dataset, fingerprint, plan)
    dataset = copies_as_one_patient(dataset, copies_of(fingerprint.cases))
    dataset = with_voxels_hashes(dataset, fingerprint.cases)
    trainer = dataclasses.replace(config.trainer, batch_size=plan.batch_size)
    config = dataclasses.replace(config, trainer=trainer)
    if not config.run_dir:
        settings = dataclasses.asdict(budget)
        origin = Origin(model).hashes()
        run_dir = default_run_dir(config, plan, dataset, origin, kind=PRUNING, settings=settings)
    return Setup(config, plan, dataset, Origin(model), run_dir)


def settings_words(budget: Budget, model: Bundle) -> list[str]:
    """Return the settings of a pruning as the words that are kept in its folder."""
    return [*given_settings(budget, "budget"), f"model={model.hash}"]


def _config(model: Bundle, words: Sequence[str], budget: Budget) -> TrainConfig:
    leave_out(decided_keys(), words, "a pruning takes it from the model")
    config = continued_config(PRUNING, words)
    check_here(config, PRUNING)
    if config.run_dir and run_state(Path(config.run_dir)) != "new":
        _check_same(Path(config.run_dir), settings_words(budget, model))
        return config
    return _with_settings_of(model, config, words)


def _check_same(run_dir: Path, settings: Sequence[str]) -> None:
    """Raise a UsageError if the pruning in ``run_dir`` has another budget or another model."""
    if folder_kind(run_dir) == PRUNING and read_study(run_dir)["settings"] != list(settings):
        found = " ".join(read_study(run_dir)["settings"])
        raise UsageError(
            f"the pruning in {run_dir} was started with {found}, not {' '.join(settings)}."
            " Give another run_dir."
        )


def _with_settings_of(model: Bundle, config: TrainConfig, words: Sequence[str]) -> TrainConfig:
    """Return the configuration with the settings of the model's training where none are given."""
    config = dataclasses.replace(
        config, weights=str(model.path), plan=dataclasses.replace(config.plan, file=None)
    )
    stored = settings_of_training(model)
    if stored is None or read_overrides(words).run_file is not None:  # the file has every setting
        return config
    take_settings(config, stored, words, prefixes=OF_MODEL, but=NOT_OF_MODEL)
    return config
