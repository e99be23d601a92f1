"""The command segkit doctor on this machine: exit codes, text, JSON, and nothing personal."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder whose name, and that of HOME, must not be shown; it has one named model."""
    folder = tmp_path / "Jane Doe"
    shutil.copytree(FROZEN, folder / "models" / "liver")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SEGKIT_MODELS", str(folder / "models"))
    monkeypatch.delenv("SEGKIT_MODEL", raising=False)
    return folder


def as_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main(["doctor", "--json", *words]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_text(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "model liver" in out
    assert "f49d7a00f79e: complete, weights not read; bright, dark" in out
    assert (
        out.rstrip()
        .splitlines()[-1]
        .startswith("This machine can predict: segkit predict SCAN -m liver")
    )


KEYS = [
    "format_version",
    "can_predict",
    "quick",
    "problems",
    "command",
    "versions",
    "processor",
    "memory",
    "gpu",
    "shared_memory",
    "folders",
    "root_is_read_only",
    "user",
    "clock_seconds_behind",
    "models",
]


def test_quick_json(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--quick")
    assert list(found) == KEYS
    assert list(found["folders"]) == ["current", "temporary", "home", "runs", "models_1"]
    assert found["versions"]["import_errors"] is found["gpu"]["seen_by_torch"] is None
    assert found["models"] == [
        {
            "name": "liver",
            "is_default": False,
            "is_ok": True,
            "weights_are_hashed": False,
            "scan": None,
            "members": [{"hash": "f49d7a00f79e", "labels": ["bright", "dark"], "bytes": 4236}],
        }
    ]


@pytest.mark.slow
def test_whole_json(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys)
    assert list(found) == KEYS
    assert found["versions"]["import_errors"] == {}
    (model,) = found["models"]
    assert model["weights_are_hashed"]
    assert model["scan"]["shape"] == [32, 32, 2]
    assert model["scan"]["least_memory"] <= model["scan"]["memory"]
    assert main(["doctor"]) == 0
    assert "a scan of 32 x 32 x 2 voxels takes 38.0 MB of memory" in capsys.readouterr().out
    (weights,) = (private / "models" / "liver" / "weights").iterdir()
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")  # of the same size
    found = as_json(capsys, code=3)
    (problem,) = (each for each in found["problems"] if each["severity"] == "error")
    assert problem["where"] == f"model liver, {weights.name}"
    assert problem["expected"].startswith("sha256 ")


def test_nothing_personal_is_shown(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (private / "models" / "liver" / "plan.json").write_text("{}")
    for words in ([], ["--json"], ["-m", str(private / "gone")], ["-m", str(private)]):
        main(["doctor", "--quick", *words])
        out = capsys.readouterr().out
        assert str(private.parent) not in out
        assert platform.node() not in out.split()
        assert getpass.getuser() not in out.replace("root folder", "").split()
        assert out.count("Jane Doe") == (2 if words == ["-m", str(private)] else 0)


def test_a_damaged_model_stops(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights,) = (private / "models" / "liver" / "weights").iterdir()
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main(["doctor", "--quick"]) == 3
    out = capsys.readouterr().out
    assert f"model liver, {weights.name}: expected 4236 bytes of weights, found 4235 bytes" in out
    assert out.endswith("This machine cannot predict until the error above is fixed.\n")
    found = as_json(capsys, "--quick", code=3)
    assert (found["can_predict"], found["command"]) == (False, None)
    assert [problem["name"] for problem in found["problems"]].count("model") == 1


def test_usage() -> None:
    assert main(["doctor", "--jsn"]) == 2


def test_the_quick_form_imports_no_torch(private: Path) -> None:
    code = (
        "import sys; from segkit.cli import main; code = main(['doctor', '--quick']);"
        " sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_json_of_names_with_odd_bytes_and_letters(private: Path) -> None:
    """An error in the encoding of the terminal, or bytes that are no UTF-8, would break readers."""
    models = private / "models"
    (models / "liver").rename(models / "leb\u00e9r <b>")
    shutil.copytree(FROZEN, models / os.fsdecode(b"n\xff"))
    words = [sys.executable, "-m", "segkit", "doctor", "--quick", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    names = [model["name"] for model in json.loads(done.stdout.decode("utf-8"))["models"]]
    assert names == ["leb\u00e9r <b>", os.fsdecode(b"n\xff")]
