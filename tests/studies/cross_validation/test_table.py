from __future__ import annotations

import pytest

from segkit.evaluation.summary import Row
from segkit.studies.cross_validation.table import case_dice, fold_dice, fold_rows, over_folds


def test_mean_and_spread_over_folds() -> None:
    rows = [
        Row("a", "liver", "dice", 0.8),
        Row("a", "liver", "hd95_mm", 3.0),
        Row("b", "liver", "dice", 0.6),
        Row("c", "liver", "dice", 0.9),
        Row("c", "mean", "dice", 0.5),  # a label of that name
    ]
    header, table = fold_rows(over_folds(fold_dice(rows, [["a", "b"], ["c"]]), case_dice(rows)))
    assert header == ["label", "mean", "sd over folds", "sd over cases", "fold 0", "fold 1"]
    folds, cases = (
        pytest.approx(0.1414, abs=1e-4),
        pytest.approx(0.1528, abs=1e-4),
    )  # of 0.7, 0.9; of 0.8, 0.6, 0.9
    assert table[0] == ["liver", pytest.approx(0.8), folds, cases, pytest.approx(0.7), 0.9]
    assert table[1] == ["mean", 0.5, None, None, None, 0.5]
    near, cases = pytest.approx(0.7), pytest.approx(0.1)  # the cases' means are 0.8, 0.6 and 0.7
    assert table[2] == ["mean", near, pytest.approx(0), cases, near, near]


def test_a_study_of_an_older_version_has_no_spread_over_cases() -> None:
    older = {"folds": [0.5], "mean": 0.5, "sd": None}
    assert fold_rows({"labels": {"liver": older}, "mean": older})[1][0] == [
        "liver",
        0.5,
        None,
        None,
        0.5,
    ]
