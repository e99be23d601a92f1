"""training.csv and progress.png."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from PIL import Image

from segkit.labels.codes import SegmentCodes
from segkit.plans.plan_file import plan_from_dict
from segkit.training.outputs.training_log import TrainingLog, score_columns
from segkit.training.validation import ValidationScore

FROZEN = json.loads((Path(__file__).parents[2] / "data" / "plan_v1.json").read_text())
PLAN = replace(plan_from_dict(FROZEN), labels={"liver": 1})


def row(step: int, **more: float) -> dict[str, float | str]:
    return {
        "step": step,
        "minutes": step / 10,
        "loss": 1 / step,
        "learning_rate": 0.1,
        "seconds_per_step": 0.5,
        "data_share": 0.01,
        **more,
    }


def test_rows_are_written_and_read_back_up_to_the_checkpoint(tmp_path: Path) -> None:
    training_log = TrainingLog(tmp_path, ("liver",))
    for step in (1, 2, 3):
        training_log.rows.append(row(step, dice=0.5, dice_liver=0.5) if step == 2 else row(step))
    training_log.write()
    lines = (tmp_path / "training.csv").read_text().splitlines()
    ours = "step,minutes,loss,learning_rate,seconds_per_step,data_share,dice,dice_liver"
    assert lines[0] == f"{ours},cases,ci95_dice,ci95_dice_liver"
    assert lines[2] == "2,0.2,0.5,0.1,0.5,0.01,0.5,0.5,,,"
    assert lines[3].endswith(",,,,,")
    assert [line["step"] for line in TrainingLog.resume(tmp_path, PLAN, 2).rows] == ["1", "2"]
    with Image.open(tmp_path / "progress.png") as picture:
        assert picture.size == (800, 900)


def test_a_validation_becomes_columns() -> None:
    score = ValidationScore(
        {"liver": 0.9, "spleen": 0.5}, 3, {"a": {"liver": 0.8}, "b": {"liver": 1.0, "spleen": 0.5}}
    )
    columns = score_columns(score)
    # For the liver s = 0.2 / sqrt(2) and t(1) = 12.706, divided by sqrt(2).
    # The cases' means are 0.8 and 0.75.
    assert columns == {
        "cases": 3,
        "dice": 0.7,
        "dice_liver": 0.9,
        "dice_spleen": 0.5,
        "ci95_dice_liver": 1.27062,
        "ci95_dice": 0.31766,
    }
    assert score_columns(ValidationScore({}, 2, {"a": {}, "b": {}})) == {}


def test_a_new_run_starts_with_no_rows(tmp_path: Path) -> None:
    assert TrainingLog.resume(tmp_path, PLAN, 5).rows == []


def test_curves_have_the_colors_of_the_plan() -> None:
    plan = replace(
        PLAN, labels={"liver": 1, "tumour": 2}, segments={"tumour": SegmentCodes(colour=(1, 2, 3))}
    )
    assert TrainingLog.empty(Path(), plan).colors == {"liver": (86, 180, 233), "tumour": (1, 2, 3)}
