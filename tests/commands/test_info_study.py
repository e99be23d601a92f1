"""The command segkit info for the folder of a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def facts(capsys: pytest.CaptureFixture[str], what: Path) -> dict[str, Any]:
    assert main(["info", str(what), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def write_study(folder: Path) -> None:
    (folder / "folds.json").write_text('[["a", "b"], ["c"]]')
    (folder / "config.yaml").touch()
    (folder / "fold_0").mkdir()
    (folder / "fold_0" / "finished.json").touch()


def test_an_unfinished_cross_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path)
    found = facts(capsys, tmp_path)
    assert (found["kind"], found["state"]) == ("cross_validation", "unfinished")
    assert found["folds"] == [
        {"fold": 0, "state": "finished", "cases": 2},
        {"fold": 1, "state": "not begun", "cases": 1},
    ]
    assert main(["info", str(tmp_path)]) == 0
    assert f"cross-validation in {tmp_path}: unfinished\nfold  state" in capsys.readouterr().out


def test_a_finished_cross_validation_is_a_model_with_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path)
    values = {"folds": [0.5, 0.7], "mean": 0.6, "sd": 0.1, "sd_over_cases": 0.2}
    content = {"labels": {"liver": values}, "mean": values, "cases": 3}
    (tmp_path / "cross_validation.json").write_text(json.dumps(content))
    shutil.copytree(FROZEN, tmp_path / "bundle")
    found = facts(capsys, tmp_path)
    assert (found["kind"], found["name"]) == ("model", "fixture")
    assert found["study"]["dice"]["liver"] == {
        "mean": 0.6,
        "sd_over_folds": 0.1,
        "sd_over_cases": 0.2,
    }
    assert main(["info", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "kind         model\n" in out
    assert (
        "label    mean  sd over folds  sd over cases\nliver  0.6000         0.1000         0.2000\n"
        in out
    )


def test_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "seed,status,dice,run,message\n0,done,0.81234567,runs/a,\n1,failed,,,no room\n"
    (tmp_path / "sweep.csv").write_text(rows)
    found = facts(capsys, tmp_path)
    assert (found["kind"], found["done"], found["failed"], len(found["runs"])) == ("sweep", 1, 1, 2)
    assert main(["info", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1 trainings done, 1 failed\nseed  status    dice  run" in out
    assert "0     done    0.8123  runs/a" in out


@pytest.mark.parametrize(
    ("name", "text"), [("folds.json", "{"), ("folds.json", "3"), ("sweep.csv", "seed\n1\n")]
)
def test_a_damaged_study_is_named(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["info", str(tmp_path)]) == 3
    assert (
        f"{tmp_path}: expected the files of a study as segkit wrote them" in capsys.readouterr().err
    )


def test_a_study_of_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"kind": "normalization", "settings": ["study.seeds=[0]"]}
    (tmp_path / "study.json").write_text(json.dumps(content))
    (tmp_path / "config.yaml").touch()
    (tmp_path / "cells").mkdir()
    done, failed = {"status": "done", "message": ""}, {"status": "failed", "message": "too wide"}
    (tmp_path / "cells" / "a.json").write_text(json.dumps(done))
    (tmp_path / "cells" / "b.json").write_text(json.dumps(failed))
    (tmp_path / "cells" / "c.started.json").write_text("{}")
    found = facts(capsys, tmp_path)
    assert (found["kind"], found["state"]) == ("normalization", "unfinished")
    assert found["cells"] == [{"cell": "a", **done}, {"cell": "b", **failed}]
    (tmp_path / "summary.json").write_text('{"verdict": ["No evidence."]}')
    assert main(["info", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"normalization in {tmp_path}: unfinished\nstudy.seeds=[0]\n" in printed
    assert "b     failed  too wide" in printed
    assert printed.endswith("No evidence.\n")
    (tmp_path / "cells" / "a.json").write_text("{")
    assert main(["info", str(tmp_path)]) == 3
