from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from segkit.dataset_check.duplicates import copies, copies_in_two_folds, shared_label_maps

from .conftest import facts, label


def test_copies_are_named(measured: Callable) -> None:
    cases = [facts("p1"), facts("p2"), facts("p3", voxels_hash="p1")]
    (problem,) = copies(measured(cases))
    assert problem.message == (
        "p1, p3 are the same scan, voxel for voxel: they are treated as one patient and stay in"
        " one fold"
    )
    assert list(copies(measured(cases[:2]))) == []


def test_copies_with_other_labels_and_of_one_patient(measured: Callable) -> None:
    cases = [facts("p1"), facts("p2", voxels_hash="p1", labels={"a": label(7)})]
    (problem,) = copies(measured(cases, patients={"p1": "A", "p2": "A"}))
    assert problem.message == "p1, p2 are the same scan, voxel for voxel, with different label maps"


def test_constant_images_are_no_copies(measured: Callable) -> None:
    assert (
        list(copies(measured([facts(name, voxels_hash="0", constant=("MR",)) for name in "xy"])))
        == []
    )


def test_a_split_column_that_parts_copies(measured: Callable) -> None:
    found = measured([facts("p1"), facts("p2", voxels_hash="p1")])
    cases = [replace(case, split=str(number)) for number, case in enumerate(found.dataset.cases)]
    parted = replace(found, dataset=replace(found.dataset, cases=tuple(cases)))
    assert not list(copies(parted))
    (problem,) = copies_in_two_folds(parted)
    assert problem.severity == "error"
    assert (
        "the column 'split' lets one train while the other validates: correct it" in problem.message
    )


def test_a_label_map_of_two_scans(measured: Callable) -> None:
    found = measured([facts("p1"), facts("p2"), facts("p3")])
    files = [("a", "l"), ("b", "l"), ("c", "m")]
    cases = [
        replace(case, images=(Path(image),), label=Path(map_))
        for case, (image, map_) in zip(found.dataset.cases, files, strict=True)
    ]
    (problem,) = shared_label_maps(
        replace(found, dataset=replace(found.dataset, cases=tuple(cases)))
    )
    assert problem.message.startswith(
        "l is the label map of p1, p2, which are treated as separate patients"
    )
    of_one = tuple(replace(case, patient="A") for case in cases)
    assert not list(shared_label_maps(replace(found, dataset=replace(found.dataset, cases=of_one))))
