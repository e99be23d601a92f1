"""Imports only go down, torch begins at the networks, one door to hydra, short and plain code."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import segkit
from tools import flow, house

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


ROOMS = {
    "loose modules at the top": 10,
    "import floors": 15,
    "import cycles, deferred ones included": 0,
}
SIZES = {
    "lines of the longest class": 120,
    "lines of a function's body, median": 8,
    "lines of the longest function's body": 40,
    "lines over 100 columns, %": 0.5,
    "docstrings that are fragments": 0,
}
Counts = dict[str, tuple[float, list[str]]]


@pytest.fixture(scope="module")
def counts() -> Counts:
    """Figures and places that `python tools/house.py --all` prints."""
    return house.count()


def test_every_count_has_a_limit(counts: Counts) -> None:
    assert counts.keys() == ROOMS.keys() | SIZES.keys()


@pytest.mark.parametrize("name", ROOMS)
def test_the_house_has_few_rooms(name: str, counts: Counts) -> None:
    figure, places = counts[name]
    assert figure <= ROOMS[name], "\n".join(places)


@pytest.mark.parametrize("name", SIZES)
def test_classes_functions_and_files_are_short(name: str, counts: Counts) -> None:
    figure, places = counts[name]
    assert figure <= SIZES[name], "\n".join(places)


def test_a_prediction_goes_down_the_layers() -> None:
    scan = np.zeros((20, 18, 3), np.int16)
    model = segkit.load(ROOT / "tests" / "data" / "bundle_v1")
    way = flow.flow_of(lambda: model.predict(scan, affine=np.diag([1.0, 2, 3, 1])))
    # The sliding window calls the scan and the networks that it was given, and nothing else.
    callers = {call.partition(" -> ")[0].partition("/")[0] for call in way.upwards}
    assert callers == {"sliding_window"}
    assert {"preprocessing/chain.py", "inference/scoring/scan_scorer.py"} <= set(way.files)
