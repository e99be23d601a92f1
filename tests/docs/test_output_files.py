"""docs/reference.md names every file that predict and evaluate write.

The files of a run, a study and a sweep are compared in the tests of those, which train anyway.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.cli import main
from tools.reference import files_without_row

BUNDLE = Path(__file__).parents[1] / "data" / "bundle_v1"
EVERYTHING = ("--stats", "--preview", "--uncertainty", "--probabilities")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and a folder of two scans."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BUNDLE, "model")
    Path("scans").mkdir()
    array = np.random.default_rng(0).integers(-100, 100, (20, 18, 3)).astype(np.int16)
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2, 3, 1])), f"scans/{name}.nii.gz")
    return tmp_path


def test_files_of_predict_and_evaluate(here: Path) -> None:
    assert main(["predict", "scans", "-m", "model", "-o", "results", *EVERYTHING]) == 0
    assert len(list((here / "results").iterdir())) == 15
    assert files_without_row(here / "results", "Files of a prediction") == []
    assert main(["evaluate", "results", "results", "-o", "report"]) == 0
    assert len(list((here / "report").iterdir())) == 4
    assert files_without_row(here / "report", "Files of an evaluation") == []
    assert main(["evaluate", "--compare", "results", "results", "results", "-o", "both"]) == 0
    assert len(list((here / "both").iterdir())) == 3
    assert files_without_row(here / "both", "Files of a comparison") == []


def test_a_file_without_a_row_is_found(tmp_path: Path) -> None:
    (tmp_path / "summary.json").touch()
    (tmp_path / "new.txt").touch()
    assert files_without_row(tmp_path, "Files of an evaluation") == ["new.txt"]
