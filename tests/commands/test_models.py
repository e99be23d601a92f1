"""The command segkit models: the names that -m takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def test_names_and_the_newest_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FROZEN, tmp_path / "models" / "liver ct")
    shutil.copytree(FROZEN, tmp_path / "runs" / "a" / "bundle")
    (tmp_path / "runs" / "latest").write_text("a\n")
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["name", "liver ct", "runs/latest"]
    assert lines[3] == "Predict with one of these names: segkit predict SCAN -m 'liver ct'"
    assert lines[4].startswith("-m takes a path as well")


def test_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").write_text("gone\n")
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith(
        "no models; 'segkit train' makes one. -m takes a path as well"
    )
