"""Which cases train and which validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segkit.dataset import Case, Dataset
from segkit.errors import InputError, UsageError


@dataclass(frozen=True)
class Split:
    """Cases of one fold."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]


def split_cases(dataset: Dataset, fold: int | str) -> Split:
    """The cases of ``fold``; "all" trains on every case and validates on none.

    Raises:
        UsageError: a fold that the dataset does not have.
        InputError: no case left to train on.
    """
    labelled = [case.id for case in dataset.cases if case.label is not None]
    if fold == "all":
        return Split(_some(dataset, labelled), ())
    folds = dataset.folds()
    if not 0 <= int(fold) < len(folds):
        raise UsageError(f"fold={fold}: this dataset has the folds 0 to {len(folds) - 1}, or fold=all")
    held_out = set(folds[int(fold)])
    return Split(
        _some(dataset, [case for case in labelled if case not in held_out]),
        dataset.select([case for case in labelled if case in held_out]),
    )


def _some(dataset: Dataset, ids: Sequence[str]) -> tuple[Case, ...]:
    if not ids:
        raise InputError(
            dataset.root,
            expected="a labelled case to train on",
            found=f"{len(dataset.cases)} cases, none left beside the validation cases",
            remedy="Add cases, or train on all of them with fold=all.",
        )
    return dataset.select(ids)
