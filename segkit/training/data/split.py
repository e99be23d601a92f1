"""Which cases train and which validate, and split.json, which keeps it."""

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


@dataclass(frozen=True)
class Split:
    """Cases of one fold."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]


def dataset_folds(dataset: Dataset, count: int | None = None) -> list[list[str]]:
    """Return the ids of the validation cases of each of ``count`` folds, by patient; None: five, or what there is.

    Raises:
        UsageError: more folds than patients, or another number than the column split of a CSV file has.
    """
    folds = dataset.folds(count or USUAL_FOLDS)
    if count not in (None, len(folds)):
        fixed = all(is_fold(case.split) for case in dataset.cases)
        why = f"its column split makes {len(folds)}" if fixed else f"it has {len(folds)} patients"
        raise UsageError(
            f"folds={count} is not possible for {dataset.name}: {why}. Give folds={len(folds)}, or none"
        )
    return folds


def split_cases(dataset: Dataset, fold: int | str, folds: int | None = None) -> Split:
    """Return the cases of ``fold`` of ``folds``; "all" trains on every case and validates on none.

    Raises:
        UsageError: a fold that the dataset does not have.
        InputError: no case left to train on.
    """
    labelled = [case.id for case in dataset.cases if case.label is not None]
    if fold == "all":
        return Split(_some(dataset, labelled), ())
    found = dataset_folds(dataset, folds)
    if not 0 <= int(fold) < len(found):
        raise UsageError(
            f"fold={fold}: this dataset has the folds 0 to {len(found) - 1}, or fold=all"
        )
    held_out = set(found[int(fold)])
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


def split_ids(split: Split) -> dict[str, list[str]]:
    """The ids of the training and the validation cases."""
    return {
        "training": [case.id for case in split.training],
        "validation": [case.id for case in split.validation],
    }


def check_split(folder: Path, split: Split) -> None:
    """A run that is gone on with must keep its cases: else it would validate on those that it was trained on.

    Raises:
        InputError: other cases than in the run's split.json.
    """
    path = folder / SPLIT
    began = "the cases with which this run began"
    before = read_json(
        path, expected=began, remedy="Put the file back, or begin another run with another run_dir."
    )
    if before != split_ids(split):
        raise InputError(
            path,
            expected=began,
            found="other ones: the dataset has changed, or it is another",
            remedy="Give the dataset as it was, or begin another run with another run_dir.",
        )


def write_split(folder: Path, split: Split) -> None:
    """Keep the ids of the cases in split.json."""
    write_text(folder / SPLIT, json.dumps(split_ids(split), indent=2) + "\n")
