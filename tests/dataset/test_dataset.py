"""Folds by patient, selection and the hash of the content."""

from __future__ import annotations

import os
from pathlib import Path

from segkit.dataset.dataset import Case, Dataset


def dataset(*cases: Case) -> Dataset:
    return Dataset("d", Path(), ("CT",), {"liver": 1}, cases)


def numbered(count: int, **same: str) -> Dataset:
    return dataset(*(Case(f"c{i:02d}", (Path("x"),), **same) for i in range(count)))


def test_every_case_is_validated_once() -> None:
    folds = numbered(11).folds()
    assert len(folds) == 5
    assert sorted(case for fold in folds for case in fold) == [f"c{i:02d}" for i in range(11)]
    assert {len(fold) for fold in folds} == {2, 3}


def test_folds_depend_on_the_seed_alone() -> None:
    assert numbered(20).folds(seed=1) == numbered(20).folds(seed=1)
    assert numbered(20).folds(seed=1) != numbered(20).folds(seed=2)


def test_a_patient_is_never_split() -> None:
    data = dataset(*(Case(f"c{i}", (Path("x"),), patient=f"p{i // 3}") for i in range(12)))
    for fold in data.folds(4):
        assert len(fold) == 3
        assert len({int(case[1:]) // 3 for case in fold}) == 1


def test_fewer_patients_than_folds() -> None:
    assert [len(fold) for fold in numbered(3).folds(5)] == [1, 1, 1]


def test_the_split_column_is_taken_as_it_is() -> None:
    data = dataset(*(Case(f"c{i}", (Path("x"),), split=str(i % 2)) for i in range(4)))
    assert data.folds() == [["c0", "c2"], ["c1", "c3"]]


def test_select_keeps_the_order_of_the_dataset() -> None:
    assert [case.id for case in numbered(5).select(["c03", "c01"])] == ["c01", "c03"]


def test_hash_changes_with_a_file_and_with_a_label(tmp_path: Path) -> None:
    image, label = tmp_path / "a.nii", tmp_path / "b.nii"
    image.write_bytes(b"1")
    label.write_bytes(b"2")
    data = Dataset("d", tmp_path, ("CT",), {"liver": 1}, (Case("c", (image,), label),))
    before = data.content_hash()
    assert before == data.content_hash()
    assert len(before) == 12
    assert Dataset("d", tmp_path, ("CT",), {"liver": 2}, data.cases).content_hash() != before
    os.utime(label, ns=(1, 1))
    assert data.content_hash() != before
