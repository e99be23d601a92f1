"""Folds and what is left to train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.dataset import Case, Dataset
from segkit.errors import InputError, UsageError
from segkit.training.split import split_cases


def dataset(*patients: str) -> Dataset:
    cases = tuple(
        Case(f"case{i}", (Path(f"{i}.nii"),), Path(f"{i}l.nii"), patient=patient) for i, patient in enumerate(patients)
    )
    return Dataset("d", Path("d"), ("MR",), {"organ": 1}, cases)


def test_every_case_validates_once_and_a_patient_stays_together() -> None:
    data = dataset("a", "a", "b", "c", "d", "e", "f")
    splits = [split_cases(data, fold) for fold in range(5)]
    held_out = [case.id for split in splits for case in split.validation]
    assert sorted(held_out) == [f"case{i}" for i in range(7)]
    for split in splits:
        assert not {case.patient for case in split.training} & {case.patient for case in split.validation}


def test_all_trains_on_every_case() -> None:
    split = split_cases(dataset("a", "b"), "all")
    assert len(split.training) == 2
    assert split.validation == ()


def test_one_case_leaves_none_to_train_on() -> None:
    with pytest.raises(InputError, match=r"none left beside the validation cases.*fold=all"):
        split_cases(dataset("a"), 0)


def test_unlabelled_cases_do_not_train() -> None:
    bare = Dataset("d", Path("d"), ("MR",), {"organ": 1}, (Case("c", (Path("c.nii"),)),))
    with pytest.raises(InputError, match="a labelled case to train on"):
        split_cases(bare, "all")


def test_a_fold_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="fold=3: this dataset has the folds 0 to 2"):
        split_cases(dataset("a", "b", "c"), 3)
