"""The command segkit demo. The full length, which reaches the required Dice, is a slow test."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.cli import main
from segkit.commands import demo, train
from tests.small_training import SMALL


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty current folder: the demo writes into data and runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo train a small network on a coarse grid, in a mode that needs no timing."""
    words = [*SMALL, "trainer.precision=float32", "trainer.layout=contiguous"]
    monkeypatch.setitem(demo.VERBS, "train", lambda given: train.run([*given, *words]))


def test_a_step_of_training_makes_every_file_and_is_not_good_enough(
    here: Path,
    small_network: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "out", "--cases", "2", "--steps", "1"]) == 1
    printed = capsys.readouterr()
    labels, scan = (
        Path("out/phantom_A_003_seg.nii.gz"),
        Path("data/phantom/imagesTs/phantom_A_003.nii.gz"),
    )
    np.testing.assert_array_equal(nibabel.load(labels).affine, nibabel.load(scan).affine)
    for path in (labels, "out/phantom_A_003_seg_preview.png", "out/evaluation/metrics.csv"):
        assert Path(path).is_file()
        assert str(path) in printed.out
    names = {
        row["label"]
        for row in csv.DictReader(Path("out/evaluation/metrics.csv").read_text().splitlines())
    }
    assert names == {"liver", "kidney_left", "kidney_right", "vessel"}
    assert "the mean Dice is below 0.85" in printed.err
    monkeypatch.setattr(demo, "REQUIRED_DICE", 0.0)
    Path("out/evaluation/summary.json").write_text("{}")  # as of a demo with another scan
    assert main(["demo", "out", "--cases", "2", "--steps", "1"]) == 0
    assert "is finished and is not run again" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--steps", "0"], ["--cases", "1"]])
def test_a_length_that_makes_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *words]) == 2
    assert "must be above 0, and --cases at least 2" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_reaches_its_dice(here: Path) -> None:
    assert main(["demo"]) == 0
