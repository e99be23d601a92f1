"""Folds of few cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.studies.cross_validation.folds import folds_of, keep_folds


def dataset(*ids: str, patient: str = "") -> Dataset:
    cases = tuple(
        Case(name, (Path(f"{name}.nii"),), Path(f"{name}_l.nii"), patient=patient) for name in ids
    )
    return Dataset("few", Path("few"), ("CT",), {"x": 1}, cases)


@pytest.mark.parametrize(("count", "folds"), [(2, 2), (3, 3), (5, 5), (7, 5)])
def test_as_many_folds_as_there_are_patients_up_to_five(count: int, folds: int) -> None:
    found = folds_of(dataset(*(f"c{number}" for number in range(count))))
    assert len(found) == folds
    assert sorted(case for fold in found for case in fold) == [
        f"c{number}" for number in range(count)
    ]


@pytest.mark.parametrize("few", [dataset("a"), dataset("a", "b", patient="one"), dataset()])
def test_one_patient_is_too_few(few: Dataset) -> None:
    with pytest.raises(
        InputError, match=r"few: expected cases of at least two patients.*segkit train fold=all"
    ):
        folds_of(few)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden"])
def test_an_id_must_be_a_file_name(name: str) -> None:
    with pytest.raises(InputError, match="expected case ids that can be file names, found"):
        folds_of(dataset("a", name))


def test_a_study_keeps_its_folds(tmp_path: Path) -> None:
    for _ in range(2):
        keep_folds(tmp_path, [["a"], ["b"]])
    with pytest.raises(
        InputError, match=r"folds.json: expected the cases with which this study began"
    ):
        keep_folds(tmp_path, [["a"], ["c"]])
