"""Loss and Dice by samples seen, from training.csv."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import InputError
from segkit.studies.normalization.convergence import convergence_measurements
from segkit.studies.normalization.measurement import Measurement

TABLE = """step,loss,seconds_per_step,dice,dice_liver
1,0.9,0.5,,
5,0.5,0.1,0.25,0.25
10,0.25,0.2,,
"""


def test_rows_are_counted_in_samples(tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_text(TABLE)
    found = list(convergence_measurements(tmp_path, ["liver"], samples_per_step=4))
    assert found == [
        Measurement("loss", 0.9, samples=4),  # at 10 % and 25 %; there is none at 5 %
        Measurement("loss", 0.5, samples=20),
        Measurement("loss", 0.25, samples=40),
        Measurement("dice_during_training", 0.25, samples=20),
        Measurement("dice_during_training", 0.25, label="liver", samples=20),
        Measurement("seconds_per_step", 0.2),
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [("step,loss\n1,0.5\n", "KeyError: 'seconds_per_step'"), (TABLE[:43], "no rows")],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "training.csv").write_text(content)
    with pytest.raises(
        InputError, match=f"expected the rows of a finished training, found {found}"
    ):
        list(convergence_measurements(tmp_path, [], samples_per_step=1))
