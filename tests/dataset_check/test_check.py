from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check import Problem, check


@pytest.fixture
def sound(tmp_path: Path) -> Dataset:
    """Return a sound dataset of two cases with the labels a and b."""
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[1, 1, 1:3] = 1, 2
    cases = tuple(
        write(tmp_path, name, image, labels) for name, image in zip("xy", images, strict=True)
    )
    return Dataset("d", tmp_path, ("MR",), {"a": 1, "b": 2}, cases)


def write(folder: Path, name: str, image: Any, labels: Any, edge: float = 1.0) -> Case:
    affine = np.diag([edge, 1, 1, 1])
    case = Case(name, (folder / f"{name}.nii",), folder / f"{name}_seg.nii")
    nibabel.save(nibabel.Nifti1Image(image, affine), case.images[0])
    nibabel.save(nibabel.Nifti1Image(labels, affine), case.label)
    return case


def test_a_sound_dataset_has_no_problems(sound: Dataset) -> None:
    seen: list[str] = []
    assert check(sound, lambda _done, _cases, name: seen.append(name)) == []
    assert seen == ["x", "y"]


def test_all_errors_are_collected(sound: Dataset) -> None:
    sound.cases[0].images[0].unlink()
    problems = check(replace(sound, labels={"a": 1}))
    assert [(problem.case, problem.check) for problem in problems] == [
        ("x", "unreadable"),
        ("x", "label_values"),
        ("y", "label_values"),
    ]
    assert {problem.severity for problem in problems} == {"error"}
    assert "x.nii" in problems[0].message
    assert "found also 2 (1 voxels)" in problems[2].message


def test_paths_are_relative_to_the_dataset(
    sound: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("data/metadata/x.nii")  # "metadata/" ends like the folder of the dataset
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    case = replace(sound.cases[0], images=(path,), label=None)
    problem, *_ = check(replace(sound, root=Path("data"), cases=(case,)))
    assert problem.message.startswith("metadata/x.nii: expected")
    assert problem.file == "metadata/x.nii"


def test_the_file_is_that_which_cannot_be_read(sound: Dataset) -> None:
    sound.cases[0].label.write_bytes(b"half")
    sound.cases[1].images[0].write_bytes(b"half")
    files = {problem.case: problem.file for problem in check(sound)}
    assert files == {"x": "x_seg.nii", "y": "y.nii"}


def test_warnings_of_a_case(sound: Dataset) -> None:
    case = write(sound.root, "y", np.ones((4, 5, 6), np.float32), np.zeros((4, 5, 6), np.uint8))
    constant, empty = check(replace(sound, cases=(sound.cases[0], case)))
    assert constant == Problem(
        "y",
        "warning",
        "channel MR has one constant value",
        check="constant_image",
        file="y.nii",
        remedy="Export the scan again, or leave the case out.",
    )
    assert empty.message == "no voxel of any label (foreground) in the label map"
    assert (empty.check, empty.file) == ("empty_label_map", "y_seg.nii")


def test_a_label_that_occurs_nowhere(sound: Dataset) -> None:
    (problem,) = check(replace(sound, labels={"a": 1, "b": 2, "c": 3}))
    assert problem.message == "label c occurs in no case that could be read"
    assert (problem.case, problem.severity, problem.check) == ("", "warning", "missing_label")


def test_unusual_voxels(sound: Dataset) -> None:
    image = np.eye(4, dtype=np.float32)[..., None]
    labels = image.astype(np.uint8)
    far = write(sound.root, "far", image, labels, edge=10.0)
    problem, _ = check(replace(sound, cases=(*sound.cases, far)))
    assert (problem.case, problem.severity) == ("far", "warning")
    assert problem.message == "voxels of 10 x 1 x 1 where the median is 1 x 1 x 1"


def test_nothing_to_learn_from(sound: Dataset) -> None:
    (problem,) = check(replace(sound, cases=()))
    assert problem.severity == "error"
    assert "expected at least one case" in problem.message
    bare = replace(sound.cases[0], label=None)
    problems = check(replace(sound, cases=(bare,)))
    assert [problem.severity for problem in problems] == ["error", "warning"]
    assert "found none in any case" in problems[0].message
