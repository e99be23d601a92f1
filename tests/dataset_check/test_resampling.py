from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check import resampling
from segkit.dataset_check.problem import MeasuredDataset
from segkit.dataset_check.resampling import lost_labels, planned_spacing
from segkit.fingerprint.case_facts import measure_case


def written(folder: Path, name: str, thickness: int, edge: float = 1.0) -> Case:
    """Write 16 x 16 x 16 voxels of ``edge`` mm with a label of 4 x 4 x ``thickness`` voxels."""
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[4:8, 4:8, 6 : 6 + thickness] = 1
    case = Case(name, (folder / f"{name}.nii",), folder / f"{name}_seg.nii")
    affine = np.diag([edge, edge, edge, 1])
    noise = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, affine), case.images[0])
    nibabel.save(nibabel.Nifti1Image(labels, affine), case.label)
    return case


def measured(*cases: Case) -> MeasuredDataset:
    dataset = Dataset("d", Path("d"), ("MR",), {"a": 1}, cases)
    return MeasuredDataset(dataset, [measure_case(case, dataset).facts for case in cases])


def test_a_label_that_resampling_erases(tmp_path: Path) -> None:
    (problem,) = lost_labels(
        measured(written(tmp_path, "thin", 1), written(tmp_path, "thick", 8)), (1.0, 1.0, 8.0)
    )
    assert problem.case == ""
    assert problem.message == (
        "label a: resampling to voxels of 1 x 1 x 8 mm, which fit most cases, erases it in 1 and"
        " more than halves it in"
        " 0 of 2 cases (such as thin: 0.016 ml become 0 ml). Finer voxels keep it:"
        " plan.spacing=[1,1,1]"
    )


def test_a_case_in_meters_asks_for_no_voxels_of_micrometers(tmp_path: Path) -> None:
    cases = [written(tmp_path, f"thick{number}", 8) for number in range(2)]
    meters = written(tmp_path, "meters", 8, edge=0.001)
    assert list(lost_labels(measured(*cases, meters), (1.0, 1.0, 1.0))) == []
    (problem,) = lost_labels(
        measured(*cases, written(tmp_path, "thin", 1), meters), (1.0, 1.0, 8.0)
    )
    assert "of 3 cases (1 that may be in another unit left out) (such as thin" in problem.message
    assert problem.message.endswith("plan.spacing=[1,1,1]")


def test_labels_that_survive(tmp_path: Path) -> None:
    thin = measured(written(tmp_path, "thin", 1))
    assert planned_spacing(thin) == (1.0, 1.0, 1.0)
    assert list(lost_labels(thin, (1.0, 1.0, 1.0))) == []
    assert list(lost_labels(thin, (1.0, 1.0, None))) == []
    assert list(lost_labels(measured(written(tmp_path, "thick", 8)), (1.0, 1.0, 4.0))) == []


def test_of_many_cases_the_thinnest_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "MAX_CASES", 1)
    (problem,) = lost_labels(
        measured(written(tmp_path, "two", 2), written(tmp_path, "one", 1)), (1.0, 1.0, 8.0)
    )
    assert (
        "erases it in 1 and more than halves it in 0 of the 1 cases with the thinnest labels"
        " (such as one:" in (problem.message)
    )
