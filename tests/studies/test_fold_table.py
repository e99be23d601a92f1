from __future__ import annotations

import pytest

from segkit.evaluation.summary import Row
from segkit.studies.fold_table import fold_dice, fold_rows, over_folds


def test_mean_and_spread_over_folds() -> None:
    rows = [
        Row("a", "liver", "dice", 0.8),
        Row("a", "liver", "hd95_mm", 3.0),
        Row("b", "liver", "dice", 0.6),
        Row("c", "liver", "dice", 0.9),
        Row("c", "mean", "dice", 0.5),  # a label of that name
    ]
    header, table = fold_rows(over_folds(fold_dice(rows, [["a", "b"], ["c"]])))
    assert header == ["label", "mean", "sd", "fold 0", "fold 1"]
    assert table[0] == ["liver", pytest.approx(0.8), pytest.approx(0.1414, abs=1e-4), pytest.approx(0.7), 0.9]
    assert table[1] == ["mean", 0.5, None, None, 0.5]
    assert table[2] == ["mean", pytest.approx(0.7), pytest.approx(0), pytest.approx(0.7), pytest.approx(0.7)]
