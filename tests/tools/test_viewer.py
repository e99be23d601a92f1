"""Chromium, without a network, opens the report of an evaluation and starts its viewer."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segkit.evaluation import evaluate
from segkit.io import write_image, write_labels
from segkit.report.evaluation_page import ReportOptions, write_evaluation
from segkit.volume import Volume

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--proxy-server=127.0.0.1:9",
    "--enable-logging=stderr",
    "--virtual-time-budget=30000",
    "--dump-dom",
)


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium")
def test_the_viewer_starts_from_the_disk(tmp_path: Path) -> None:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    labels = np.zeros((1, 30, 30, 12), np.uint8)
    labels[0, 10:20, 10:20, 4:8] = 1
    scan = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    for name, array in (("p", np.roll(labels, 2, 1)), ("r", labels)):
        write_labels(tmp_path / name / "a.nii.gz", Volume(array, affine))
    write_image(tmp_path / "scans" / "a.nii.gz", Volume(scan, affine))
    evaluation = evaluate(tmp_path / "p", tmp_path / "r", labels={"liver": 1})
    options = ReportOptions(scans=tmp_path / "scans")
    page = write_evaluation(evaluation, tmp_path / "report", options)[3]
    done = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert 'data-state="ready"' in done.stdout
    assert re.search(r'data-part="z-text">\d+ of 12<', done.stdout)
    assert "CONSOLE" not in done.stderr
