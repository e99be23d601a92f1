"""look_first.html is written from the records of all cases."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from segkit.errors import UsageError
from segkit.inference.files.look_first import check_look_first, write_look_first

ACCURACY = {
    "cases": 12,
    "as_they_are": {"error": 0.02, "error_of_mean": 0.03},
    "with_degraded": {"error": 0.1},
}


def save(folder: Path, case: str, dice: float | None, **more: Any) -> dict[str, Any]:
    labels = {"liver": {"expected_dice": dice, "warning": more.pop("warning", "")}}
    whole = {"mean": dice, "error": 0.1, "usual": 0.9}
    record = {"labels": labels, "expected_dice": whole, "scan_warnings": [], **more}
    (folder / f"{case}.json").write_text(json.dumps(record))
    return {case: {"status": "done", "output": f"{case}.nii.gz"}}


def test_from_the_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outcomes = {
        **save(tmp_path, "good", 0.9),
        **save(tmp_path, "bad", 0.3),
        **save(tmp_path, "small", 0.9, warning="1 ml in 1 piece; training had 9 ml in 1 piece"),
        **save(tmp_path, "thick", None, scan_warnings=["voxels of 9 x 9 x 9 mm"]),
        "broken": {"status": "failed", "message": "damaged", "output": ""},
        "earlier": {"status": "skipped", "output": "earlier.nii.gz"},
    }
    (tmp_path / "bad_preview.png").touch()
    path = tmp_path / "look_first.html"
    cards = [{"expected_dice": {"accuracy": ACCURACY}}]
    with caplog.at_level(logging.WARNING):
        write_look_first(path, outcomes, cards)
    page = path.read_text(encoding="utf-8")
    order = [page.index(f"<b>{case}</b>") for case in ("broken", "thick", "bad", "small", "good")]
    assert order == sorted(order)
    assert "liver: 1 ml in 1 piece; training had" in page
    assert 'src="bad_preview.png"' in page
    assert "fitted to 12 validation cases" in page
    assert "4 of 6 scans should be looked at first: broken, thick, bad and 1 more" in caplog.text
    check_look_first(path)  # its own page may be replaced


def test_a_model_without_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"labels": {"liver": {"warning": ""}}}))
    path = tmp_path / "look_first.html"
    write_look_first(path, {"a": {"status": "done", "output": "a.nii.gz"}}, [{}])
    page = path.read_text(encoding="utf-8")
    assert "This model cannot say which Dice to expect" in page
    assert "no expected Dice" in page


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "look_first.html"
    check_look_first(path)
    path.write_text("<title>Mine</title>")
    with pytest.raises(UsageError, match=r"look_first.html exists and is not a page that segkit"):
        check_look_first(path)
