"""Folds, and the cases that are left for training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.split import split_cases
from segkit.errors import InputError, UsageError
from segkit.planning.plan_dataset import open_dataset
from segkit.training.setup import set_up


def dataset(*patients: str) -> Dataset:
    cases = tuple(
        Case(f"case{i}", (Path(f"{i}.nii"),), Path(f"{i}l.nii"), patient=patient)
        for i, patient in enumerate(patients)
    )
    return Dataset("d", Path("d"), ("MR",), {"organ": 1}, cases)


def test_every_case_validates_once_and_a_patient_stays_together() -> None:
    data = dataset("a", "a", "b", "c", "d", "e", "f")
    splits = [split_cases(data, fold) for fold in range(5)]
    held_out = [case.id for split in splits for case in split.validation]
    assert sorted(held_out) == [f"case{i}" for i in range(7)]
    for split in splits:
        assert not {case.patient for case in split.training} & {
            case.patient for case in split.validation
        }


def test_all_trains_on_every_case() -> None:
    split = split_cases(dataset("a", "b"), "all")
    assert len(split.training) == 2
    assert split.validation == ()


def test_one_case_leaves_none_to_train_on() -> None:
    with pytest.raises(InputError, match=r"none left besides the validation cases.*fold=all"):
        split_cases(dataset("a"), 0)


def test_unlabelled_cases_do_not_train() -> None:
    bare = Dataset("d", Path("d"), ("MR",), {"organ": 1}, (Case("c", (Path("c.nii"),)),))
    with pytest.raises(InputError, match="a labeled case to train on"):
        split_cases(bare, "all")


def test_folds_by_patient_as_many_as_asked() -> None:
    data = dataset(*"abcdefgh")
    splits = [split_cases(data, fold, 8) for fold in range(8)]
    assert sorted(split.validation[0].id for split in splits) == [f"case{i}" for i in range(8)]
    assert len(split_cases(data, 1, 2).validation) == 4


def test_more_folds_than_patients() -> None:
    with pytest.raises(
        UsageError, match=r"folds=4 is not possible for d: it has 3 patients. Give folds=3, or none"
    ):
        split_cases(dataset("a", "b", "c", "c"), 0, 4)


def test_a_column_decides_on_the_folds() -> None:
    data = dataset("a", "b", "c")
    cases = tuple(dataclasses.replace(case, split=str(i % 2)) for i, case in enumerate(data.cases))
    with pytest.raises(UsageError, match="folds=3 is not possible for d: its column split makes 2"):
        split_cases(dataclasses.replace(data, cases=cases), 0, 3)


def test_a_fold_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="fold=3: this dataset has the folds 0 to 2"):
        split_cases(dataset("a", "b", "c"), 3)


def test_a_copy_of_a_scan_stays_on_its_side(phantom: Path, tmp_path: Path) -> None:
    for folder, source in (("images", "imagesTr"), ("labels", "labelsTr")):
        (tmp_path / "d" / folder).mkdir(parents=True)
        for number, path in enumerate([*sorted((phantom / source).iterdir())] * 2):
            shutil.copy(path, tmp_path / "d" / folder / f"c{number}.nii.gz")
    config = load(
        [
            f"dataset={tmp_path / 'd'}",
            f"dataset.store={tmp_path / 'store'}",
            f"run_dir={tmp_path / 'run'}",
        ]
    )
    opened = open_dataset(config)
    assert len(opened.folds()) == 4
    folds = set_up(config, opened, given=()).dataset.folds()
    assert sorted(folds) == [["c0", "c2"], ["c1", "c3"]]
