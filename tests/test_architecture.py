"""Imports only go down, torch begins at the networks, one door to hydra, short files."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "segkit").rglob("*.py"))


def test_floors_and_doors() -> None:
    # In a process of its own: it configures the log, and would silence that of all later tests.
    code = "import importlinter.cli as cli; raise SystemExit(cli.lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_a_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    floors = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    inside = {
        f"segkit.{path.stem}"
        for path in (ROOT / "segkit").iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    assert inside - {"segkit.__init__", "segkit.__pycache__"} == floors


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_short(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) < 300


def test_nothing_is_called_utils() -> None:
    assert not {"utils", "util", "common", "helpers", "core", "manager", "misc"} & {
        path.stem for path in MODULES
    }
