"""Tests of reading the channels of a scan in blocks."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import channel_blocks as module
from segkit.io import write_image
from segkit.io.channel_blocks import channel_blocks
from segkit.io.scans import read_volume
from segkit.volume import Volume


def maps(path: Path) -> Volume:
    values = np.random.default_rng(0).random((3, 5, 6, 7)).astype(np.float32)
    write_image(path, Volume(values, np.eye(4)))
    return read_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_blocks_are_the_whole_scan(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = maps(tmp_path / f"a{suffix}").array
    monkeypatch.setattr(module, "BLOCK_VALUES", 60)  # two planes of a channel
    read, blocks = np.zeros_like(expected), list(channel_blocks(tmp_path / f"a{suffix}"))
    for channel, start, values in blocks:
        read[channel, ..., start : start + values.shape[2]] = values
    np.testing.assert_array_equal(read, expected)
    assert len(blocks) >= 3 * 4


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_channels_may_be_any_axis_of_a_compressed_file(
    tmp_path: Path, encoding: str, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [5, 6, 7]
    sizes.insert(axis, 3)
    values = np.arange(3 * 5 * 6 * 7, dtype=">i2").reshape(sizes[::-1])
    kinds = ["space"] * 3
    kinds.insert(axis, "list")
    directions = [f"({','.join(map(str, row))})" for row in np.eye(3, dtype=int).tolist()]
    directions.insert(axis, "none")
    lines = (
        "NRRD0004",
        "type: short",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: big",
        f"encoding: {encoding}",
        "byte skip: 4",
    )
    pack = {"gzip": gzip.compress, "bzip2": bz2.compress}[encoding]
    content = "\n".join(lines).encode() + b"\n\n" + pack(b"skip" + values.tobytes())
    (tmp_path / "a.nrrd").write_bytes(content)
    expected = read_volume(tmp_path / "a.nrrd").array
    assert expected.shape == (3, 5, 6, 7)
    monkeypatch.setattr(module, "BLOCK_VALUES", 60)
    read = np.zeros_like(expected)
    for channel, start, part in channel_blocks(tmp_path / "a.nrrd"):
        assert part.dtype.isnative
        read[channel, ..., start : start + part.shape[2]] = part
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_compressed_map_is_never_held_as_a_whole(tmp_path: Path, suffix: str) -> None:
    values = np.zeros((8, 128, 128, 64), np.float32)  # 32 MiB
    write_image(tmp_path / f"a{suffix}", Volume(values, np.eye(4)))
    del values
    tracemalloc.start()
    count = sum(part.size for _, _, part in channel_blocks(tmp_path / f"a{suffix}"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8 * 128 * 128 * 64
    assert peak < 12 << 20


def test_stored_steps_are_scaled(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((4, 4, 4, 2), 51, np.uint8), np.eye(4))
    image.header.set_slope_inter(1 / 255, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    for _, _, values in channel_blocks(tmp_path / "a.nii.gz"):
        np.testing.assert_allclose(values, 0.2, rtol=1e-6)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_a_file_that_is_cut_off(tmp_path: Path, name: str) -> None:
    maps(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="ends too early"):
        list(channel_blocks(tmp_path / name))
