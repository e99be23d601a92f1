"""When keeping the largest component of a label is adopted, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from segkit.evaluation.pairs import Pair
from segkit.io import write_labels
from segkit.studies.cross_validation.largest_component import Gain, largest_component_gains
from segkit.volume import Volume

LABELS = {"organ": 1, "islands": 2, "absent": 3}


def pair(folder: Path, case: str, predicted: list[int], reference: list[int]) -> Pair:
    paths = folder / "predictions" / f"{case}.nii.gz", folder / "references" / f"{case}.nii.gz"
    for path, values in zip(paths, (predicted, reference), strict=True):
        write_labels(path, Volume(np.array(values, np.uint8).reshape(1, -1, 1, 1), np.eye(4)))
    return Pair(case, *paths)


def test_a_label_gains_or_loses_by_itself(tmp_path: Path) -> None:
    pairs = [
        # organ: 2 of 3 predicted voxels are right, the separate component is wrong.
        # islands: both components are right.
        pair(tmp_path, "a", [1, 1, 0, 1, 0, 2, 2, 0, 2], [1, 1, 0, 0, 0, 2, 2, 0, 2]),
        # organ as it should be; islands in one piece.
        pair(tmp_path, "b", [1, 1, 0, 0, 0, 2, 2, 0, 0], [1, 1, 0, 0, 0, 2, 2, 0, 0]),
    ]
    gains = largest_component_gains(pairs, LABELS)
    assert gains == {"organ": Gain((4 / 5 + 1) / 2, 1.0), "islands": Gain(1.0, (4 / 5 + 1) / 2)}
    assert [gain.adopted for gain in gains.values()] == [True, False]


def test_voxels_without_annotation_do_not_count(tmp_path: Path) -> None:
    # Of three pieces the largest lies where nobody annotated. What is left of the others is judged.
    files = pair(tmp_path, "a", [1, 1, 0, 1, 0, 1, 1, 1], [1, 1, 0, 1, 0, 9, 9, 9])
    assert largest_component_gains([replace(files, ignore=9)], {"organ": 1}) == {
        "organ": Gain(1.0, 0.0)
    }
    # Here the largest is annotated, and the other lies half outside: 2 * 3 / (4 + 3) before.
    files = pair(tmp_path, "b", [1, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 9])
    assert largest_component_gains([replace(files, ignore=9)], {"organ": 1}) == {
        "organ": Gain(6 / 7, 1.0)
    }


def test_a_draw_is_not_adopted() -> None:
    assert not Gain(0.5, 0.5).adopted
