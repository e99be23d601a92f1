"""Test of what a check keeps of its cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.check import examine
from segkit.io import write_image, write_labels
from segkit.volume import Volume
from tests.memory_held import largest_array


def test_measurements_hold_no_array_of_the_size_of_a_scan(tmp_path: Path) -> None:
    labels = np.zeros((1, 64, 64, 64), np.uint8)
    labels[0, 5:20, 5:30, 5:30] = 1
    cases = []
    for number in range(3):
        image = np.random.default_rng(number).normal(size=labels.shape).astype(np.float32)
        paths = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}_seg.nii.gz"
        write_image(paths[0], Volume(image, np.eye(4)))
        write_labels(paths[1], Volume(labels, np.eye(4)))
        cases.append(Case(str(number), (paths[0],), paths[1]))
    examined = examine(Dataset("d", tmp_path, ("MR",), {"a": 1}, tuple(cases)))
    # A scan has 1 MB, its label map 262 kB.
    assert 0 < largest_array(examined) < 100_000
