"""The folds of a cross-validation: which cases each holds out, kept in the study's folder."""

from __future__ import annotations

import json
from pathlib import Path

from segkit.dataset import Dataset
from segkit.errors import InputError
from segkit.files import write_text
from segkit.inference.inputs import names_a_file
from segkit.training.run_folder import FOLDS


def folds_of(dataset: Dataset) -> list[list[str]]:
    """Ids of the cases that each fold holds out; five folds, fewer where there are fewer patients.

    Raises:
        InputError: fewer than two folds, or a case whose id cannot be the name of its label map.
    """
    for case in dataset.cases:
        if not names_a_file(case.id) or case.id.startswith("."):
            raise InputError(
                dataset.root, expected="case ids that can be files' names", found=repr(case.id), remedy="Rename it."
            )
    folds = dataset.folds() if dataset.cases else []
    if len(folds) < 2:
        raise InputError(
            dataset.root,
            expected="cases of two patients at least, so that one fold can train and another validate",
            found=f"{len(dataset.cases)} cases in {len(folds)} folds",
            remedy="Add cases, or train on all of them with 'segkit train fold=all'.",
        )
    return folds


def keep_folds(folder: Path, folds: list[list[str]]) -> None:
    """Write them down, or check that they are those with which the study began.

    Raises:
        InputError: other folds, because the dataset has changed, or a file that cannot be read.
    """
    path = folder / FOLDS
    if not path.is_file():
        write_text(path, json.dumps(folds, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            path, expected="the folds with which this study began", found=str(error), remedy="Begin another study."
        ) from error
    if before != folds:
        raise InputError(
            path,
            expected="the cases with which this study began",
            found="other ones: the dataset has changed, or it is another",
            remedy="Give the dataset as it was, or begin another study with another run_dir.",
        )
