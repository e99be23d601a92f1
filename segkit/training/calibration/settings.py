"""Settings of a calibration: the dataset, the hardware, and the folder of prepared cases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segkit.bundle.bundle import Bundle
from segkit.bundle.trained_on import TRAINED_ON_KEY
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.groups import DICOM, INTENSITIES
from segkit.errors import UsageError
from segkit.training.model_settings import run_of, take_settings
from segkit.training.outputs.run_folder import prepared_folder

OF_DATA, OF_FOLDS = ("dataset.",), ("fold", "folds")
"""Beginnings of the keys of settings that are those of the model's training; those of folds are
needed where only they say which cases the training held out."""
OWN_KEYS = ("dataset.", "compute.", "trainer.threads")
"""Beginnings of the keys of settings that a calibration reads."""


def calibration_config(
    model: Bundle, stored: TrainConfig | None, words: Sequence[str]
) -> TrainConfig:
    """Return the settings: those of ``words``, and of the training where they are needed.

    Args:
        model: the model.
        stored: configuration of its training, if it is known.
        words: KEY=VALUE settings that the user gave.

    Raises:
        UsageError: a setting that a calibration does not read, or no dataset.
    """
    others = sorted(key for key in given_keys(words) if not key.startswith(OWN_KEYS))
    if others:
        raise UsageError(
            f"{', '.join(others)}: a calibration trains nothing, and takes settings of dataset and "
            "compute only; leave it out"
        )
    config = load(words)
    if config.compute.name in ("ddp", "slurm"):
        raise UsageError(
            f"compute={config.compute.name}: a calibration runs in one process; give compute=cpu "
            "or compute=gpu"
        )
    if stored is not None:
        is_recorded = model.card.get(TRAINED_ON_KEY, {}).keys() >= set(model.folds)
        prefixes = OF_DATA if is_recorded else OF_DATA + OF_FOLDS
        take_settings(config, stored, words, prefixes=prefixes, but=_paths(model, stored, words))
    if not config.dataset.path or not Path(config.dataset.path).exists():
        raise UsageError(
            f"{_what_is_missing(config, words)}: give dataset=PATH, the dataset that {model.name} "
            "was trained on, or other labeled cases"
        )
    return config


def _what_is_missing(config: TrainConfig, words: Sequence[str]) -> str:
    if not config.dataset.path:
        return "a model alone does not say where its dataset is"
    if "dataset.path" in given_keys(words):
        return f"there is no {config.dataset.path}"
    return f"{config.dataset.path}, the dataset of the training, is not there"


def _paths(model: Bundle, stored: TrainConfig, words: Sequence[str]) -> list[str]:
    """Return the keys of paths that are not those of the training: a bundle alone has none."""
    left_out = [] if run_of(model) else ["dataset.path", "dataset.store"]
    is_table = stored.dataset.groups not in (None, DICOM, INTENSITIES)
    is_other = "dataset.path" in given_keys(words) or not run_of(model)
    return [
        *left_out,
        *(["dataset.groups", "dataset.group_column"] if is_table and is_other else []),
    ]


@contextmanager
def store_of(config: TrainConfig, run: Path | None) -> Iterator[Path]:
    """Yield the folder of prepared cases: that of the run, or one that is removed afterwards."""
    if run is not None or config.dataset.store:
        yield prepared_folder(config, run or Path())
        return
    with tempfile.TemporaryDirectory(prefix="segkit-") as folder:
        yield Path(folder)
