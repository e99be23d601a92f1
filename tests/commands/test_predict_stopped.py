"""A prediction ended by a signal leaves no temporary files; the next one removes older ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
MODEL = ["-m", str(FROZEN)]

WRITING = """
import sys
from segkit.files import atomic
from segkit.cli import main

class Slow(type(atomic.Path())):
    def write_text(self, *given, **more):
        super().write_text(*given, **more)
        if self.name.startswith("."):
            print("writing", flush=True)
            sys.stdin.readline()

atomic.Path = Slow
sys.exit(main(sys.argv[1:]))
"""
"""Program that runs segkit and waits for input while it writes a text file."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    scan = np.zeros((20, 20, 2), np.int16)
    scan[2:10, 2:10] = 100
    (tmp_path / "scans").mkdir()
    for name in ("a", "b"):
        nibabel.save(
            nibabel.Nifti1Image(scan, np.diag([1.0, 1.0, 5.0, 1.0])),
            tmp_path / "scans" / f"{name}.nii.gz",
        )
    return tmp_path


def stopped(number: int) -> int:
    """Send a signal to a prediction of two scans while it writes; return the exit code."""
    command = [sys.executable, "-c", WRITING, "predict", "scans", *MODEL, "-o", "out"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert hidden()
        process.send_signal(number)
        return process.wait(60)


def hidden() -> list[Path]:
    return list(Path("out").glob(".*"))


def test_a_signal_leaves_no_temporary_file() -> None:
    assert stopped(signal.SIGTERM) == 128 + signal.SIGTERM
    assert hidden() == []
    assert main(["predict", "scans", *MODEL, "-o", "out", "--continue"]) == 0
    assert sorted(path.name for path in Path("out").glob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz"]


def test_the_next_call_removes_what_a_killed_one_left_and_nothing_else() -> None:
    assert stopped(signal.SIGKILL) == -signal.SIGKILL
    assert len(hidden()) == 1
    Path("out/.mine").touch()
    of_another_machine = Path(f"out/.{'ab' * 16}.nii.gz")
    of_another_machine.touch()
    assert main(["predict", "scans", *MODEL, "-o", "out", "--continue"]) == 0
    assert sorted(hidden()) == sorted([Path("out/.mine"), of_another_machine])
