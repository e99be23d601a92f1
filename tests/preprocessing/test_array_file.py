"""Arrays in one mapped file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from segkit.preprocessing.array_file import map_arrays, write_arrays

ARRAYS = {
    "labels": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
    "image": np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3) / 8,
    "more": np.arange(6, dtype=np.uint16).reshape(1, 2, 3),
    "voxels_1": np.array([[0, 1, 2]], dtype=np.int32),
}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    file = map_arrays(tmp_path / "a")
    assert file is not None
    content = (tmp_path / "a").read_bytes()
    for name, array in ARRAYS.items():
        found = file.arrays[name]
        assert (found.dtype, found.shape, found.flags.writeable) == (
            array.dtype,
            array.shape,
            False,
        )
        assert np.array_equal(found, array)
        assert content[file.starts[name] :].startswith(array.tobytes())


def test_it_is_the_format_of_safetensors(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    found = safetensors.numpy.load_file(tmp_path / "a")
    assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())


@pytest.mark.parametrize("damage", [b"", b"\0" * 50, None])
def test_a_file_that_is_not_whole_counts_for_nothing(tmp_path: Path, damage: bytes | None) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1] if damage is None else damage)
    assert map_arrays(tmp_path / "a") is None
    assert map_arrays(tmp_path / "none") is None


def test_any_box_may_be_announced(tmp_path: Path) -> None:
    image = np.zeros((2, 40, 80, 60), np.float32)  # 1.5 MB
    write_arrays(tmp_path / "a", {"image": image})
    file = map_arrays(tmp_path / "a")
    assert file is not None
    for edge in (slice(0, 40), slice(30, 40), slice(7, 8), slice(40, 40)):
        file.will_read("image", (slice(0, 2), edge, edge, edge))
    assert not file.arrays["image"][:, 30:40].any()


def test_arrays_are_closed_only_when_the_last_is_gone(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    file = map_arrays(tmp_path / "a")
    assert file is not None
    image = file.arrays["image"]
    del file
    (tmp_path / "a").unlink()
    assert np.array_equal(image, ARRAYS["image"])
    assert pickle.dumps(image)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    content = (tmp_path / "a").read_bytes()
    assert map_arrays(tmp_path / "a", verify=True) is not None
    for place in range(len(content)):
        (tmp_path / "a").write_bytes(
            bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])
        )
        assert map_arrays(tmp_path / "a", verify=True) is None, place


def test_a_file_of_an_older_version_has_no_checksum(tmp_path: Path) -> None:
    safetensors.numpy.save_file(ARRAYS, tmp_path / "a")
    file = map_arrays(tmp_path / "a", verify=True)
    assert file is not None
    assert np.array_equal(file.arrays["image"], ARRAYS["image"])
