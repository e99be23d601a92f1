"""Training cases of the symmetry study: nested subsets, the same in all of its arms."""

from __future__ import annotations

import dataclasses

import numpy as np

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.split import Split

VALIDATION, TRAINING = "0", "1"
"""Folds to which the cases of a dataset of fewer training cases belong."""


def first_cases(split: Split, count: int, seed: int) -> tuple[Case, ...]:
    """Return ``count`` of the training cases, in an order that depends on nothing but the seed.

    Those of a smaller count are among them. Patients are shuffled, and the cases of a patient
    follow each other.

    Args:
        split: training and validation cases.
        count: number of cases.
        seed: seed of the order.
    """
    cases = sorted(split.training, key=lambda case: case.id)
    patients = sorted({case.patient or case.id for case in cases})
    random = np.random.Generator(np.random.Philox(key=seed))
    rank = dict(zip(patients, random.permutation(len(patients)).tolist(), strict=True))
    return tuple(sorted(cases, key=lambda case: rank[case.patient or case.id])[:count])


def with_cases(dataset: Dataset, split: Split, chosen: tuple[Case, ...]) -> Dataset:
    """Return the dataset of the validation cases and the chosen training cases.

    Its fold 0 has the same validation cases as ``split``.

    Args:
        dataset: the dataset.
        split: training and validation cases.
        chosen: the training cases to keep.
    """
    folds = {case.id: VALIDATION for case in split.validation}
    folds |= {case.id: TRAINING for case in chosen}
    cases = tuple(
        dataclasses.replace(case, split=folds[case.id])
        for case in dataset.cases
        if case.id in folds
    )
    return dataclasses.replace(dataset, cases=cases)
