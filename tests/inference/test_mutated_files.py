"""Damaged files of every format: each is refused by name, and none ends the work on the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutated_files.py"


@pytest.mark.slow
def test_each_is_refused_by_name(tmp_path: Path, make_bundle: Callable[..., Any]) -> None:
    pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")
    model, out = make_bundle().path, tmp_path / "out"
    words = [sys.executable, SCRIPT, model, out, "--files", "250", "--seed", "7"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("'failed'") == 3
