"""Imports only go down, torch begins at the networks, one door to hydra, short files."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "segkit").rglob("*.py"))


def test_floors_and_doors() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_short(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) < 300


def test_nothing_is_called_utils() -> None:
    assert not {"utils", "util", "common", "helpers", "core", "manager", "misc"} & {path.stem for path in MODULES}
