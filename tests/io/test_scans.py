"""Opening by suffix, channels of one case, objects in memory, and deferred imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io import from_object, read_case, read_volume, write_image
from segkit.volume import Volume


def cube(value: float = 0, channels: int = 1, edge: float = 1.0) -> Volume:
    return Volume(np.full((channels, 2, 3, 4), value, np.float32), np.diag([edge, edge, edge, 1.0]))


@pytest.mark.parametrize("name", ["a.mgz", "a.mnc", "a.hdr", "a.img", "a.jpg"])
def test_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(
        InputError,
        match=rf"expected one of the formats \.nii\.gz .* found the suffix '\.{name[2:]}'. Convert",
    ):
        read_volume(tmp_path / name)


def test_no_suffix_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no suffix\. Check the path"):
        read_volume(tmp_path / "a")
    for name in ("a.nii.gz", "a.mha", "a.png"):
        with pytest.raises(InputError, match="expected a file, found no such file"):
            read_volume(tmp_path / name)


def test_one_file_per_channel(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", cube(1))
    write_image(tmp_path / "b.mha", cube(2))
    case = read_case([tmp_path / "a.nii", tmp_path / "b.mha"])
    assert case.array[:, 0, 0, 0].tolist() == [1, 2]


def test_one_file_with_all_channels(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", cube(channels=3))
    assert read_case([tmp_path / "a.nii"]).channels == 3


def test_channel_on_another_grid(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", cube())
    write_image(tmp_path / "b.nii", cube(edge=2))
    with pytest.raises(
        InputError,
        match=r"b\.nii: expected a channel on the grid of the scan: "
        r"2 x 3 x 4 voxels of 1 x 1 x 1 mm",
    ):
        read_case([tmp_path / "a.nii", tmp_path / "b.nii"])


def test_file_with_several_channels_among_others(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", cube())
    write_image(tmp_path / "b.nii", cube(channels=2))
    with pytest.raises(InputError, match=r"b\.nii: expected one channel, .* found 2 channels"):
        read_case([tmp_path / "a.nii", tmp_path / "b.nii"])


def test_objects_in_memory(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", cube(5))
    assert from_object(str(tmp_path / "a.nii")).array.max() == 5
    assert from_object(cube(6)).array.max() == 6
    with pytest.raises(InputError, match="Volume: expected a number in every voxel"):
        from_object(cube(np.nan))
    with pytest.raises(InputError, match="Volume: expected an affine"):
        from_object(cube(edge=0))
    with pytest.raises(UsageError, match=r"a scan must be a path, .* not list"):
        from_object([2, 3, 4])


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
@pytest.mark.parametrize(
    ("given", "kept"), [(np.bool_, np.uint8), (np.float16, np.float32), (">f8", "f8")]
)
def test_types_that_the_formats_do_not_know(
    tmp_path: Path, name: str, given: Any, kept: Any
) -> None:
    write_image(tmp_path / name, Volume(np.ones((1, 2, 2, 2), given), np.eye(4)))
    assert read_volume(tmp_path / name).dtype == kept


def test_libraries_are_imported_with_the_first_file() -> None:
    heavy = {"nibabel", "SimpleITK", "PIL", "torch", "hydra"}
    code = f"import sys, segkit.io; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mha", "scan.nrrd", "series"])
def test_a_scan_that_may_not_be_read_is_not_called_damaged(stranger: Path, name: str) -> None:
    path = stranger / name
    if name == "series":
        path.mkdir()
    else:
        write_image(path, Volume(np.zeros((1, 2, 3, 4), np.int16), np.eye(4)))
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(54321)
    with pytest.raises(InputError, match="a scan that this user may read, found permission denied"):
        read_volume(path)
