"""Prepared cases on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from segkit.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.io import write_image, write_labels
from segkit.plans import ChannelPlan, NetworkPlan, Plan
from segkit.preprocessing.store import prepare_cases
from segkit.volume import Volume

PLAN = Plan(
    name="p",
    dims=3,
    slice_axis=None,
    channels=(ChannelPlan("MR", "zscore"),),
    labels={"organ": 5},
    spacing=(1.0, 1.0, 1.0),
    unit="mm",
    patch=(8, 8, 8),
    batch_size=1,
    mirror_axes=(),
    crop_to_content=False,
    network=NetworkPlan("unet", "relu", (), ()),
)


def dataset(folder: Path, image: Volume, labels: Volume) -> Dataset:
    write_image(folder / "scan.nii.gz", image)
    write_labels(folder / "label.nii.gz", labels)
    case = Case("c", (folder / "scan.nii.gz",), folder / "label.nii.gz")
    return Dataset("d", folder, ("MR",), {"organ": 5}, (case,))


def cube(value: int = 5, channels: int = 1) -> tuple[Volume, Volume]:
    noise = np.random.default_rng(0).normal(size=(channels, 9, 9, 9)).astype(np.float32)
    labels = np.zeros((1, 9, 9, 9), np.uint8)
    labels[0, 3:6, 3:6, 3:6] = value
    return Volume(noise, np.eye(4)), Volume(labels, np.eye(4))


def test_labels_become_indices_and_positions(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    (case,) = prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert (case.labels == 1).sum() == 27
    assert case.voxels[1].min(axis=0).tolist() == [3, 3, 3]
    assert case.image.shape == (1, 9, 9, 9)
    assert abs(float(case.image.mean())) < 1e-6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (cube(value=7), r"label\.nii\.gz: expected only the values background 0, organ 5, found also 7 \(27 voxels\)"),
        (cube(channels=2), r"scan\.nii\.gz: expected 1 channel \(MR\), found 2"),
        (
            (cube()[0], Volume(cube()[1].array, np.diag([2, 1, 1, 1]))),
            r"label\.nii\.gz: expected a label map on the grid",
        ),
    ],
)
def test_a_case_that_cannot_be_used(tmp_path: Path, given: tuple[Volume, Volume], message: str) -> None:
    data = dataset(tmp_path, *given)
    with pytest.raises(InputError, match=message):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(InputError, match=r"scan\.nii\.gz: expected a file, found No such file"):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    with pytest.raises(InputError, match="expected a label map for training, found none"):
        prepare_cases([Case("c", (tmp_path / "label.nii.gz",))], data, PLAN, tmp_path / "prepared")


def test_a_full_disk(tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]) -> None:
    data = dataset(tmp_path, *cube())
    with (
        full_disk(1000),
        pytest.raises(InputError, match=r"prepared.*: expected a place that can be written to, found"),
    ):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert list((tmp_path / "prepared").iterdir()) == []


def test_a_constant_case_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, labels = cube()
    data = dataset(tmp_path, image.with_array(np.ones_like(image.array)), labels)
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert "scan.nii.gz, channel MR: the scan has one constant value" in caplog.text
