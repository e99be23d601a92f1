"""Killing the process while it writes: a file under its final name is complete."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segkit.files.atomic import is_leftover
from segkit.io import read_labels

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are POSIX")

SUFFIXES = ["nii.gz", "nii", "nrrd", "mha", "png", "tif"]
WRITE = f"""
import itertools, sys
from pathlib import Path
import numpy as np
from segkit.io import write_labels
from segkit.volume import Volume
noise = np.random.default_rng(0).integers(0, 256, (1, 1499, 1499, 1)).astype(np.uint8)
for number in itertools.count():
    for suffix in {SUFFIXES}:
        unit = "px" if suffix in ("png", "tif") else "mm"
        write_labels(Path(sys.argv[1]) / f"{{number}}.{{suffix}}", Volume(noise, np.eye(4), unit))
        print(suffix, flush=True)
"""
KILLS = 20
ENOUGH = 2
"""Number of times the process was killed while it wrote a file."""


def test_no_incomplete_file_has_its_final_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 1499, 1499, 1)).astype(np.uint8)
    struck = 0
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", WRITE, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(1 + kill % len(SUFFIXES)):
                assert process.stdout.readline()
            time.sleep(0.003 * kill)
            process.kill()
        found = sorted(folder.iterdir())
        struck += any(is_leftover(path) for path in found)
        complete = [path for path in found if not is_leftover(path)]
        assert complete
        for path in complete:
            assert np.array_equal(read_labels(path).array, noise), path
        if struck == ENOUGH:
            return
    pytest.fail(f"{struck} of {KILLS} kills came while a file was written")
