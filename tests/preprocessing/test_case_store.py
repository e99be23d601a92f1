"""Prepared cases on disk."""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.io import write_image, write_labels
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.preprocessing.case_store import (
    NOT_OF_DATASET,
    NOT_OF_PLAN,
    PreparedCase,
    _write,
    case_key,
    prepare_cases,
)
from segkit.preprocessing.store_folder import allow_open_files, store_size
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
        (
            cube(value=7),
            r"label\.nii\.gz: expected only the values background 0, organ 5, "
            r"found also 7 \(27 voxels\)",
        ),
        (cube(channels=2), r"scan\.nii\.gz: expected 1 channel \(MR\), found 2"),
        (
            (cube()[0], Volume(cube()[1].array, np.diag([2, 1, 1, 1]))),
            r"label\.nii\.gz: expected a label map on the grid",
        ),
    ],
)
def test_a_case_that_cannot_be_used(
    tmp_path: Path, given: tuple[Volume, Volume], message: str
) -> None:
    data = dataset(tmp_path, *given)
    with pytest.raises(InputError, match=message):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")


@pytest.mark.parametrize("name", ["scan", "label"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_not_finite(tmp_path: Path, name: str, bad: float) -> None:
    data = dataset(tmp_path, *cube())
    array = np.zeros((1, 9, 9, 9), np.float32)
    array[0, 3, 3, 3] = bad
    write_image(tmp_path / f"{name}.nii.gz", Volume(array, np.eye(4)))
    message = rf"{name}\.nii\.gz: expected a number in every voxel, found 1 of 729"
    with pytest.raises(InputError, match=message):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(InputError, match=r"scan\.nii\.gz: expected a file, found No such file"):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    with pytest.raises(InputError, match="expected a label map for training, found none"):
        prepare_cases([Case("c", (tmp_path / "label.nii.gz",))], data, PLAN, tmp_path / "prepared")


def test_a_full_disk(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    data = dataset(tmp_path, *cube())
    with (
        full_disk(1000),
        pytest.raises(
            InputError, match=r"prepared.*: expected a place that can be written to, found"
        ),
    ):
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["CACHEDIR.TAG"]


def test_a_constant_case_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, labels = cube()
    data = dataset(tmp_path, image.with_array(np.ones_like(image.array)), labels)
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert "scan.nii.gz: channel MR: the scan has one constant value" in caplog.text


def prepared_files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    before = prepared_files(tmp_path / "prepared")
    prepare_cases(
        data.cases,
        data,
        dataclasses.replace(PLAN, patch=(4, 4, 4), batch_size=2),
        tmp_path / "prepared",
    )
    assert prepared_files(tmp_path / "prepared") == before
    assert store_size(tmp_path / "prepared") > 9**3 * 5


def test_a_dataset_that_was_moved_is_known(tmp_path: Path) -> None:
    for place in ("one", "two"):
        data = dataset(tmp_path / place, *cube())
        prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert len(prepared_files(tmp_path / "prepared")) == 1


def test_an_edit_that_keeps_size_and_time_is_never_served_stale(tmp_path: Path) -> None:
    image, labels = cube()
    data = dataset(tmp_path, image, labels)
    data = dataclasses.replace(
        data, cases=(dataclasses.replace(data.cases[0], label=tmp_path / "label.nii"),)
    )
    write_labels(tmp_path / "label.nii", labels)
    status = (tmp_path / "label.nii").stat()
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    write_labels(tmp_path / "label.nii", labels.with_array(np.roll(labels.array, 1, axis=1)))
    os.utime(tmp_path / "label.nii", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (tmp_path / "label.nii").stat().st_size == status.st_size
    (case,) = prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert case.voxels[1].min(axis=0).tolist() == [4, 3, 3]


CHANGES: dict[str, Any] = {
    "dims": 2,
    "slice_axis": 2,
    "channels": (ChannelPlan("MR", "zscore", masked=True),),
    "labels": {"organ": 6},
    "spacing": (1.0, 1.0, 2.0),
    "unit": "px",
    "crop_to_content": True,
    "regions": {"organ": (5, 6)},
    "ignore": 9,
    "harmonization": {
        "method": "zscore",
        "channels": [{"name": "MR", "target": [], "groups": {}}],
        "scans": {},
        "grouping": {"source": "none", "tags": [], "mixture": None},
        "format_version": 1,
    },
}


def test_what_decides_the_preparation_decides_the_key(tmp_path: Path) -> None:
    data = Dataset("d", tmp_path, ("MR",), {"a": 1, "b": 2}, ())
    two = dataclasses.replace(PLAN, labels={"a": 1, "b": 2})
    plans = [PLAN, two, dataclasses.replace(two, labels={"b": 2, "a": 1})]
    plans += [dataclasses.replace(PLAN, **{name: value}) for name, value in CHANGES.items()]
    keys = {case_key(content, data, plan) for plan in plans for content in ("x", "y")}
    keys.add(case_key("x", dataclasses.replace(data, subset=True), PLAN))
    assert len(keys) == 2 * len(plans) + 1
    assert {field.name for field in dataclasses.fields(Plan)} - NOT_OF_PLAN <= CHANGES.keys()
    harmonized = dataclasses.replace(PLAN, harmonization=CHANGES["harmonization"])
    by_group = {case_key("x", data, harmonized, group) for group in ("", "A", "B")}
    assert len(by_group | keys) == len(keys) + 2
    assert case_key("x", data, PLAN, "A") == case_key("x", data, PLAN)


class Without:
    """An object that lacks some attributes."""

    def __init__(self, item: Any, names: set[str]) -> None:
        self.item, self.names = item, names

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            raise AssertionError(f"{name} is read")
        return getattr(self.item, name)


def test_what_is_left_out_of_the_key_is_never_read(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    plan: Any = Without(
        dataclasses.replace(PLAN, crop_to_content=True, spacing=(2.0, 1.0, 1.0)), NOT_OF_PLAN
    )
    content = "x"
    with pytest.raises(
        InputError, match=r"scan\.nii\.gz: expected files that do not change while they are read"
    ):
        _write(data.cases[0], Without(data, NOT_OF_DATASET), plan, content, tmp_path / "a")  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_a_file_that_was_cut_short_is_written_anew(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    (place,) = (tmp_path / "prepared").glob("*.safetensors")
    whole = place.read_bytes()
    place.write_bytes(whole[:-5])
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert place.read_bytes() == whole


def test_cases_done_before_an_error_are_kept(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    gone = Case("gone", (tmp_path / "gone.nii.gz",))
    with pytest.raises(InputError, match="gone"):
        prepare_cases([*data.cases, gone], data, PLAN, tmp_path / "prepared")
    assert len(prepared_files(tmp_path / "prepared")) == 1


def test_several_may_prepare_one_case_at_once(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(prepare_cases, data.cases, data, PLAN, tmp_path / "prepared")
            for _ in range(4)
        ]
    assert all(np.array_equal(job.result()[0].image, jobs[0].result()[0].image) for job in jobs)
    assert len(list((tmp_path / "prepared").iterdir())) == 2


@pytest.mark.parametrize("damage", ["changed", "cut short", "a name"])
def test_a_damaged_case_is_prepared_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = dataset(tmp_path, *cube())
    (case,) = prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    (place,) = (tmp_path / "prepared").glob("*.safetensors")
    whole = place.read_bytes()
    changed = whole[:-1] + bytes([whole[-1] ^ 64])
    place.unlink()  # `case` keeps its own
    place.write_bytes(
        {"changed": changed, "cut short": whole[:-1], "a name": whole.replace(b"image", b"imagx")}[
            damage
        ]
    )
    (anew,) = prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert np.array_equal(anew.image, case.image)
    assert np.array_equal(anew.labels, case.labels)
    assert place.read_bytes() == whole
    assert f"{place} is damaged: the case c is prepared again" in caplog.text


def test_bytes_are_read_only_where_they_are_to_be_verified(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    (place,) = (tmp_path / "prepared").glob("*.safetensors")
    changed = place.read_bytes()[:-1] + b"!"
    place.write_bytes(changed)
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared", verify=False)
    assert place.read_bytes() == changed


def test_a_worker_that_is_started_maps_the_file_itself(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    (case,) = prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    sent = pickle.dumps(case)
    assert len(sent) < 1000 < case.image.nbytes
    there = pickle.loads(sent)
    assert np.array_equal(there.image, case.image)
    assert there.voxels[1].tolist() == case.voxels[1].tolist()
    in_memory = PreparedCase("m", case.image, case.labels, {})
    assert np.array_equal(pickle.loads(pickle.dumps(in_memory)).labels, case.labels)
    next((tmp_path / "prepared").glob("*.safetensors")).unlink()
    with pytest.raises(InputError, match="expected a prepared case, found none that can be read"):
        pickle.loads(sent)


def test_the_folder_says_what_it_is(tmp_path: Path) -> None:
    data = dataset(tmp_path, *cube())
    prepare_cases(data.cases, data, PLAN, tmp_path / "prepared")
    assert (
        (tmp_path / "prepared/CACHEDIR.TAG")
        .read_text()
        .startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    )


def test_more_files_may_be_open_than_the_shell_allows() -> None:
    resource = pytest.importorskip("resource", reason="limits of open files are POSIX")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        allow_open_files(500)
        assert 756 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1500
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
