"""Tests of what an evaluation keeps of its cases: numbers, and no arrays of the size of scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.evaluation.compare import compare
from segkit.evaluation.evaluate import evaluate, measure_pairs
from segkit.evaluation.extras import checked_extras
from segkit.evaluation.pairs import find_pairs
from segkit.io import write_labels
from segkit.volume import Volume
from tests.memory_held import largest_array

VOXELS = 40**3


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return folders of predictions and references of two cases of 40 x 40 x 40 voxels."""
    for part, start in (("predictions", 10), ("references", 12)):
        array = np.zeros((1, 40, 40, 40), np.uint8)
        array[0, start : start + 15, 5:30, 5:30] = 1
        array[0, start, 32:36, 32:36] = 2
        for case in "ab":
            write_labels(tmp_path / part / f"{case}.nii.gz", Volume(array, np.eye(4)))
    return tmp_path / "predictions", tmp_path / "references"


def test_views_count_as_what_they_keep() -> None:
    """The test below could not fail otherwise."""
    assert largest_array({"kept": np.zeros(VOXELS)[:1]}) == 8 * VOXELS
    assert largest_array([np.zeros(3, np.uint8)]) == 3


def test_results_hold_no_array_of_the_size_of_a_scan(folders: tuple[Path, Path]) -> None:
    extras = checked_extras(("subvoxel", "lesions"), 0.0)
    results = measure_pairs(find_pairs(*folders), tolerance=1.0, extras=extras)
    assert 0 < largest_array(results) < VOXELS / 100


def test_evaluation_and_comparison_hold_none(folders: tuple[Path, Path]) -> None:
    assert largest_array(evaluate(*folders)) < VOXELS / 100
    assert largest_array(compare(folders[0], folders[1], folders[1])) < VOXELS / 100
