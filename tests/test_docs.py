"""The examples of docs/python.md run as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


@pytest.fixture
def folder_of_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model, the scan, and the results and references that the examples name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "data" / "bundle_v1", "model")
    array = np.random.default_rng(0).integers(-100, 100, (20, 18, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2, 3, 1])), "scan.nii.gz")
    for folder in ("results", "references"):
        Path(folder).mkdir()
        nibabel.save(
            nibabel.Nifti1Image((array > 50).astype(np.uint8), np.diag([1.0, 2, 3, 1])),
            f"{folder}/a.nii.gz",
        )
    return tmp_path


def test_the_first_example_trains() -> None:
    assert [("segkit.train(" in example) for example in EXAMPLES] == [
        True,
        *[False] * (len(EXAMPLES) - 1),
    ]


@pytest.mark.usefixtures("folder_of_examples")
@pytest.mark.parametrize("example", EXAMPLES[1:])
def test_an_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "docs/python.md", "exec"), {})
    printed = capsys.readouterr().out
    for comment in re.findall(r"print\(.*?\)  # (?!such as)(.*)", example):
        assert comment in printed
