"""The examples of docs/python.md run as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from segkit.plans.plan_file import read_plan

ROOT = Path(__file__).parents[1]


def examples(page: str) -> list[str]:
    """Return the Python code blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


EXAMPLES = examples("docs/python.md")


@pytest.fixture
def folder_of_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model, the scan, and the results and references that the examples name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "data" / "bundle_v1", "model")
    array = np.random.default_rng(0).integers(-100, 100, (20, 18, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2, 3, 1])), "scan.nii.gz")
    for folder in ("results", "references", "old", "new"):
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


def test_masks_are_joined_to_a_label_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "masks" / "p1" / "segmentations"
    folder.mkdir(parents=True)
    for name, voxels in (("spleen", [1, 1, 0]), ("liver", [0, 1, 0])):
        mask = np.array(voxels, np.uint8).reshape(3, 1, 1)
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / f"{name}.nii.gz")
    (code,) = examples("data/README.md")
    exec(compile(code, "data/README.md", "exec"), {})
    assert np.asarray(nibabel.load("labels/p1.nii.gz").dataobj).ravel().tolist() == [1, 5, 0]


def test_own_parts_compute_scores_and_a_loss() -> None:
    (code,) = examples("docs/own_parts.md")
    parts: dict[str, Any] = {}
    exec(compile(code, "docs/own_parts.md", "exec"), parts)
    plan = read_plan(ROOT / "tests" / "data" / "bundle_v1" / "plan.json")
    spatial = plan.patch[: plan.dims]
    scores = parts["Plain"](plan)(torch.zeros(1, len(plan.channels), *spatial))
    assert scores.shape == (1, len(plan.label_values), *spatial)
    labels = torch.zeros(1, *spatial, dtype=torch.int64)
    assert parts["Focal"]()(scores, labels).item() > 0
