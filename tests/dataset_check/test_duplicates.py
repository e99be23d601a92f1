from __future__ import annotations

from collections.abc import Callable

import pytest

from segkit.dataset_check.duplicates import copies, time_points

from .conftest import facts, label


def test_copies_are_named(measured: Callable) -> None:
    cases = [facts("p1"), facts("p2"), facts("p3", voxels_hash="p1")]
    (problem,) = copies(measured(cases))
    assert problem.message == (
        "p1, p3 are the same scan, voxel for voxel: they count as one patient, which no fold splits"
    )
    assert list(copies(measured(cases[:2]))) == []


def test_copies_with_other_labels_and_of_one_patient(measured: Callable) -> None:
    cases = [facts("p1"), facts("p2", voxels_hash="p1", labels={"a": label(7)})]
    (problem,) = copies(measured(cases, patients={"p1": "A", "p2": "A"}))
    assert problem.message == "p1, p2 are the same scan, voxel for voxel, with different label maps"


def test_constant_images_are_no_copies(measured: Callable) -> None:
    assert list(copies(measured([facts(name, voxels_hash="0", constant=("MR",)) for name in "xy"]))) == []


@pytest.mark.parametrize("ids", [("pat1_tp1", "pat1_tp2"), ("sub-01_ses-1", "sub-01_ses-2"), ("A-visit1", "A-visit2")])
def test_names_with_time_points(measured: Callable, ids: tuple[str, str]) -> None:
    (problem,) = time_points(measured([facts(name) for name in ids]))
    assert problem.message.startswith(f"by their names, {ids[0]} and {ids[1]} are time points of one patient")
    assert list(time_points(measured([facts(name) for name in ids], patients={ids[0]: "A", ids[1]: "A"}))) == []


@pytest.mark.parametrize("ids", [("p1", "p2"), ("hippocampus_001", "hippocampus_002"), ("a_tp1", "b_tp1")])
def test_names_without_time_points(measured: Callable, ids: tuple[str, str]) -> None:
    assert list(time_points(measured([facts(name) for name in ids]))) == []
