"""Split of the cases into training and validation, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segkit.dataset.dataset import Case, Dataset, is_fold
from segkit.errors import InputError, UsageError

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
