from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import UsageError
from segkit.inference.files.label_statistics import label_figures
from segkit.inference.files.statistics_table import check_stats, write_stats
from segkit.volume import Unit, Volume


def record(folder: Path, case: str, *, unit: Unit = "mm", size: int = 1) -> None:
    """The record of a label "a" with ``size`` voxels along X, and of a label "b" without any."""
    array = np.zeros((4, 4, 1 if unit == "px" else 4), np.uint8)
    array[:size, 1, 0] = 1
    figures = label_figures(
        Volume(array[None], np.eye(4), unit),
        {"a": 1, "b": 2},
        channels={"T1, Gd": np.ones(array.shape)},
    )
    (folder / f"{case}.nii.gz.json").write_text(json.dumps({"labels": figures}))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def done(*cases: str) -> dict[str, dict[str, str]]:
    return {case: {"status": "done", "output": f"elsewhere/{case}.nii.gz"} for case in cases}


def test_a_line_per_case_and_label(tmp_path: Path) -> None:
    record(tmp_path, "x", size=3)
    record(tmp_path, "y, z")
    write_stats(
        tmp_path / "stats.csv", {**done("x", "y, z"), "w": {"status": "failed", "output": ""}}
    )
    found = rows(tmp_path / "stats.csv")
    assert [(row["case"], row["label"], row["voxels"]) for row in found] == [
        ("x", "a", "3"),
        ("x", "b", "0"),
        ("y, z", "a", "1"),
        ("y, z", "b", "0"),
    ]
    assert found[0] == {
        **{"case": "x", "label": "a", "value": "1", "voxels": "3", "volume_ml": "0.003"},
        **{
            "first_x": "0",
            "first_y": "1",
            "first_z": "0",
            "last_x": "2",
            "last_y": "1",
            "last_z": "0",
        },
        **{"centroid_x_mm": "1.0", "centroid_y_mm": "1.0", "centroid_z_mm": "0.0"},
        **{"touches_border": "first x; first z", "pieces": "1", "largest_piece_ml": "0.003"},
        **{"mean:T1, Gd": "1.0", "std:T1, Gd": "0.0", "scan_warnings": ""},
    }
    absent = found[1]
    assert (
        absent["volume_ml"],
        absent["first_x"],
        absent["centroid_x_mm"],
        absent["mean:T1, Gd"],
    ) == (
        "0.0",
        "",
        "",
        "",
    )


def test_a_picture_has_no_z(tmp_path: Path) -> None:
    record(tmp_path, "p", unit="px")
    write_stats(tmp_path / "stats.csv", done("p"))
    row = rows(tmp_path / "stats.csv")[0]
    assert (row["volume_px"], row["centroid_y_px"], row["centroid_z_px"], row["last_z"]) == (
        "1.0",
        "1.0",
        "",
        "",
    )


@pytest.mark.parametrize(
    "content", [None, "{", "[]", "{}", '{"labels": [1]}', '{"labels": {"a": 1}}']
)
def test_a_case_without_a_record_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "x.nii.gz.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        write_stats(tmp_path / "stats.csv", done("x"))
    assert "stats.csv: cases without figures: 1, such as x" in caplog.text
    assert (tmp_path / "stats.csv").read_text().split() == ["case,label,value,voxels"]


def test_another_table_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    check_stats(tmp_path / "stats.csv")
    write_stats(tmp_path / "stats.csv", {})
    check_stats(tmp_path / "stats.csv")
    (tmp_path / "stats.csv").write_text("case,age\n")
    with pytest.raises(
        UsageError, match=r"stats.csv exists and is not a table of label figures; move it"
    ):
        check_stats(tmp_path / "stats.csv")
