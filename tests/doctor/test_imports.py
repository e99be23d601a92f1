"""Packages are imported in a process of their own: real modules that fail in real ways."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segkit.doctor.imports import imported

MODULES = {
    "sound": "print('{\"not\": json'); print('a banner')",
    "broken": "raise ImportError('/home/jane/env/x.so: undefined symbol: f')",
    "crashing": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "leaving": "import sys; sys.exit(7)",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of modules that a new process can import."""
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
def test_a_module_that_ends_the_process_does_not_hide_the_others(folder: Path) -> None:
    errors, torch = imported(["sound", "crashing", "broken", "killed", "leaving", "json"])
    assert errors == {
        "sound": "",
        "crashing": "it ended the process (SIGSEGV)",
        "broken": "ImportError: x.so: undefined symbol: f",
        "killed": "the system ended it, as it does when memory runs out (SIGKILL)",
        "leaving": "it ended the process (exit code 7)",
        "json": "",
    }
    assert torch is None


def test_an_import_that_takes_forever(folder: Path) -> None:
    (folder / "slow.py").write_text("import time; time.sleep(60)")
    errors, _ = imported(["slow"], seconds=0.5)
    assert errors == {"slow": "it took over 0.5 s"}
