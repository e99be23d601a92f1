"""Tests that copies of a scan never train and validate in one fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segkit.dataset.dataset import Case, Dataset
from segkit.fingerprint.fingerprint import measure
from segkit.fingerprint.identical_images import copies_as_one_patient, copies_of


def dataset(**patients: str) -> Dataset:
    cases = tuple(
        Case(name, (Path(name),), Path(name), patient=patient) for name, patient in patients.items()
    )
    return Dataset("d", Path("d"), ("MR",), {"a": 1}, cases)


def test_copies_share_a_patient() -> None:
    joined = copies_as_one_patient(dataset(p1="", p2="", p3=""), [["p1", "p3"]])
    assert [case.patient for case in joined.cases] == ["", "", "p1"]
    assert sorted(joined.folds(count=2)) == [["p1", "p3"], ["p2"]]


def test_what_their_patients_had_before_comes_along() -> None:
    joined = copies_as_one_patient(dataset(a="A", b="B", c="B", d="D"), [["a", "b"]])
    assert [case.patient for case in joined.cases] == ["A", "A", "A", "D"]


def test_chains_of_copies() -> None:
    joined = copies_as_one_patient(dataset(a="A", b="B", c="B", d="D"), [["a", "b"], ["c", "d"]])
    assert {case.patient for case in joined.cases} == {"A"}


def test_equal_voxels_in_other_files(write_case, tmp_path: Path) -> None:
    image, labels = np.random.default_rng(0).normal(size=(4, 5, 6)), np.ones((4, 5, 6))
    first = write_case("first", image, labels)
    turned = np.diag([-1.0, 1, 1, 1])
    turned[0, 3] = 3
    cases = (
        first,
        write_case("copy", image[::-1], labels, affine=turned),
        write_case("other", image + 1, labels),
    )
    found = measure(Dataset("d", tmp_path, ("MR",), {"a": 1}, cases))
    assert copies_of(found.cases) == [["first", "copy"]]
