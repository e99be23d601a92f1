"""Split of the cases into training and validation, and split.json, which records it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.dataset.dataset import Case, Dataset, is_fold
from segkit.errors import InputError, UsageError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json

SPLIT = "split.json"
USUAL_FOLDS = 5
"""Number of folds if none is given; fewer for few patients."""


@dataclass(frozen=True)
class Split:
    """Training and validation cases of one fold."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]


def dataset_folds(dataset: Dataset, count: int | None = None) -> list[list[str]]:
    """Return the ids of the validation cases of each fold; cases of a patient share a fold.

    Args:
        dataset: the cases.
        count: number of folds; None for five, or as many as the dataset allows.

    Raises:
        UsageError: more folds than patients, or another number than the column split of a CSV
            file has.
    """
    folds = dataset.folds(count or USUAL_FOLDS)
    if count not in (None, len(folds)):
        fixed = all(is_fold(case.split) for case in dataset.cases)
        why = f"its column split makes {len(folds)}" if fixed else f"it has {len(folds)} patients"
        raise UsageError(
            f"folds={count} is not possible for {dataset.name}: {why}."
            f" Give folds={len(folds)}, or none"
        )
    return folds


def split_cases(dataset: Dataset, fold: int | str, folds: int | None = None) -> Split:
    """Return the training and validation cases of a fold.

    Args:
        dataset: the cases.
        fold: number of the fold from 0, or "all" to train on every case and validate on none.
        folds: number of folds; None for the default.

    Raises:
        UsageError: a fold that the dataset does not have.
        InputError: no case left to train on.
    """
    labeled = [case.id for case in dataset.cases if case.label is not None]
    if fold == "all":
        return Split(_select(dataset, labeled), ())
    validation_ids = dataset_folds(dataset, folds)
    if not 0 <= int(fold) < len(validation_ids):
        raise UsageError(
            f"fold={fold}: this dataset has the folds 0 to {len(validation_ids) - 1}, or fold=all"
        )
    held_out = set(validation_ids[int(fold)])
    return Split(
        _select(dataset, [case for case in labeled if case not in held_out]),
        dataset.select([case for case in labeled if case in held_out]),
    )


def _select(dataset: Dataset, ids: Sequence[str]) -> tuple[Case, ...]:
    if not ids:
        raise InputError(
            dataset.root,
            expected="a labeled case to train on",
            found=f"{len(dataset.cases)} cases, none left besides the validation cases",
            remedy="Add cases, or train on all of them with fold=all.",
        )
    return dataset.select(ids)


def split_ids(split: Split) -> dict[str, list[str]]:
    """Return the ids of the training and of the validation cases."""
    return {
        "training": [case.id for case in split.training],
        "validation": [case.id for case in split.validation],
    }


def check_split(folder: Path, split: Split) -> None:
    """Check that a resumed run keeps its cases: otherwise it would validate on training cases.

    Raises:
        InputError: the cases differ from those in split.json of the run's ``folder``.
    """
    path = folder / SPLIT
    expected = "the cases with which this run began"
    remedy = "Put the file back, or start another run with another run_dir."
    if read_json(path, expected=expected, remedy=remedy) != split_ids(split):
        raise InputError(
            path,
            expected=expected,
            found="other cases: the dataset has changed, or this is another dataset",
            remedy="Give the dataset as it was, or start another run with another run_dir.",
        )


def write_split(folder: Path, split: Split) -> None:
    """Write the ids of the cases to split.json in ``folder``."""
    write_text(folder / SPLIT, json.dumps(split_ids(split), indent=2) + "\n")
