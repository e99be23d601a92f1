"""The wheel is complete: installed into an empty environment, it runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("segkit-*.whl")
    return built


def test_the_wheel_holds_code_configuration_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "segkit/cli.py",
        "segkit/py.typed",
        "segkit/configs/train.yaml",
        "segkit/configs/network/unet.yaml",
    } <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "data/", "docs/")) for name in names)


def test_the_demo_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    _run(sys.executable, "-m", "venv", str(environment), cwd=tmp_path)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    python = str(programs / "python")
    _run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        str(wheel),
        cwd=tmp_path,
    )
    where = _run(python, "-c", "import segkit; print(segkit.__file__)", cwd=tmp_path)
    assert str(environment) in where
    # Enough steps to go the whole way, not enough to be good: the verdict on Dice is `make demo`'s.
    words = ["demo", "out", "--data", "phantom", "--cases", "3", "--steps", "20"]
    done = subprocess.run(
        [str(programs / "segkit"), *words],
        cwd=tmp_path,
        env=_clean(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "The demo is done" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


def _run(*command: str, cwd: Path) -> str:
    return subprocess.run(
        command, cwd=cwd, env=_clean(), capture_output=True, text=True, check=True
    ).stdout


def _clean() -> dict[str, str]:
    """The environment without what would let the checkout be found."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
