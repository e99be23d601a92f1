"""The folds of a cross-validation: the cases that each holds out, kept in the study's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.split import dataset_folds
from segkit.errors import InputError, UsageError
from segkit.files.atomic import write_text
from segkit.inference.files.inputs import names_a_file
from segkit.training.outputs.run_folder import FOLDS

HARMONIZED = (
    "a cross-validation has one plan for all folds, and a harmonization is fitted to the training "
    "cases of one fold: train the folds with 'segkit train --multirun fold=0,1,2,3,4 "
    "plan.harmonization=METHOD', or leave it out"
)


def check_overrides(config: TrainConfig, overrides: Sequence[str]) -> None:
    """Check that a cross-validation can follow the overrides.

    Raises:
        UsageError: a single fold, trainings in several processes, or weights of a fold to continue.
    """
    if config.compute.name in ("ddp", "slurm"):
        raise UsageError(
            f"compute={config.compute.name}: a cross-validation trains its folds in this process"
        )
    if "fold" in given_keys(overrides):
        raise UsageError("fold: a cross-validation trains all folds; leave it out")
    if config.plan.harmonization not in (None, "none"):
        raise UsageError(HARMONIZED)
    if config.rewind:
        raise UsageError(
            "rewind: its weights have seen cases that a fold of a cross-validation holds out; "
            "leave it out"
        )


def folds_of(dataset: Dataset, count: int | None = None) -> list[list[str]]:
    """Return the ids of the cases that each fold holds out.

    Args:
        dataset: the cases.
        count: number of folds; None for five, or fewer if there are fewer patients.

    Raises:
        UsageError: a number of folds that the dataset cannot have.
        InputError: fewer than two folds, or a case whose id cannot be the name of its label map.
    """
    for case in dataset.cases:
        if not names_a_file(case.id) or case.id.startswith("."):
            raise InputError(
                dataset.root,
                expected="case ids that can be file names",
                found=repr(case.id),
                remedy="Rename the case.",
            )
    folds = dataset_folds(dataset, count) if dataset.cases else []
    if len(folds) < 2:
        raise InputError(
            dataset.root,
            expected="cases of at least two patients, so that one can train and another validate",
            found=f"{len(dataset.cases)} cases in {len(folds)} folds",
            remedy="Add cases, or train on all of them with 'segkit train fold=all'.",
        )
    return folds


def keep_folds(folder: Path, folds: list[list[str]]) -> None:
    """Write folds.json, or check that the folds are those with which the study began.

    Raises:
        InputError: other folds, because the dataset has changed, or a file that cannot be read.
    """
    path = folder / FOLDS
    if not path.is_file():
        write_text(path, json.dumps(folds, indent=2) + "\n")
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            path,
            expected="the folds with which this study began",
            found=str(error),
            remedy="Start another study with another run_dir.",
        ) from error
    if stored != folds:
        raise InputError(
            path,
            expected="the cases with which this study began",
            found="other cases: the dataset has changed, or this is another dataset",
            remedy="Give the dataset as it was, or start another study with another run_dir.",
        )
