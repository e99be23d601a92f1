"""Tables of measurements: stats.csv and wide tables, into numbers and back."""

from __future__ import annotations

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.harmonization.measurements import changed_rows, measurements_of, values_by_case

STATS = [
    {"case": "p2", "label": "liver", "value": "1", "voxels": "8", "volume_ml": "0.5",
     "mean:CT": "60", "pieces": "1"},
    {"case": "p1", "label": "liver", "value": "1", "voxels": "4", "volume_ml": "0.25",
     "mean:CT": "", "pieces": "2"},
    {"case": "p2", "label": "spleen", "value": "2", "voxels": "2", "volume_ml": "0.125",
     "mean:CT": "50", "pieces": "1"},
]  # fmt: skip
COLUMNS = [*STATS[0]]


def test_stats_has_a_measurement_for_each_label_and_column() -> None:
    table = measurements_of(STATS, COLUMNS, where="stats.csv")
    assert table.cases == ("p2", "p1")
    assert table.features == (
        *("liver: volume_ml", "liver: mean:CT", "spleen: volume_ml", "spleen: mean:CT"),
    )
    np.testing.assert_array_equal(
        table.values, [[0.5, 60, 0.125, 50], [0.25, np.nan, np.nan, np.nan]]
    )


def test_changed_values_go_back_into_their_cells_and_others_keep_their_text() -> None:
    table = measurements_of(STATS, COLUMNS, where="stats.csv")
    values = table.values.copy()
    values[0, 2] = 7.5
    rows = [*changed_rows(STATS, table, values)]
    assert rows[2] == STATS[2] | {"volume_ml": "7.5"}
    assert rows[:2] == STATS[:2]
    assert STATS[2]["volume_ml"] == "0.125"


def test_a_wide_table_has_all_columns_of_numbers_except_site_and_covariates() -> None:
    rows = [{"case": "a", "site": "x", "age": "3", "cortex": "2.5", "note": "good"}]
    columns = [*rows[0]]
    table = measurements_of(rows, columns, where="t.csv", left_out=["site", "age"])
    assert table.features == ("cortex",)


@pytest.mark.parametrize(
    ("rows", "chosen", "found"),
    [
        ([{"name": "a", "x": "1"}], [], "a column case"),
        ([{"case": "a", "x": "1"}], ["y"], "a column y"),
        ([{"case": "a", "x": "one"}], ["x"], "'one' in row 1"),
        ([{"case": "a", "x": "good"}], [], "columns of numbers"),
        ([{"case": "a", "x": "1"}, {"case": "a", "x": "2"}], [], "'x' twice for a"),
    ],
)
def test_other_tables_are_refused(
    rows: list[dict[str, str]], chosen: list[str], found: str
) -> None:
    with pytest.raises(InputError, match=found):
        measurements_of(rows, [*rows[0]], where="t.csv", chosen=chosen)


def test_a_case_has_one_site() -> None:
    rows = [{"case": "a", "site": "x"}, {"case": "a", "site": "y"}, {"case": "b", "site": ""}]
    assert values_by_case(rows[::2], "site", where="t", columns=["case", "site"]) == {"a": "x"}
    with pytest.raises(InputError, match="'x' and 'y' for a"):
        values_by_case(rows, "site", where="t.csv", columns=["case", "site"])
    with pytest.raises(InputError, match="a column scanner"):
        values_by_case(rows, "scanner", where="t.csv", columns=["case", "site"])
