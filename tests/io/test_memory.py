"""Free memory, and large plain files that are mapped: the same numbers in hardly any memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from isal import igzip

from segkit.errors import InputError, OutOfMemoryError
from segkit.io import (
    available_memory,
    memory,
    open_source,
    read_labels,
    read_volume,
    write_labels,
)
from segkit.io.memory import blocks, drop_pages, is_mapped, map_numbers
from segkit.volume import Volume

NUMBERS = np.arange(2 * 3 * 4 * 5, dtype=np.int16)


def test_some_memory_is_free() -> None:
    free = available_memory()
    assert free is None or free > 2**20


def test_the_smaller_of_system_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   5 kB\n",
        "sys/fs/cgroup/memory.current": "1000\n",
        "sys/fs/cgroup/memory.max": "3000\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    assert available_memory() == 2000
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert available_memory() == 5120


def test_work_that_does_not_fit() -> None:
    with pytest.raises(
        OutOfMemoryError,
        match=r"a\.nii: the scores take 2\.0 KB, and 1\.0 KB may be used\. Use a machine",
    ):
        memory.require_memory("a.nii", 2000, "the scores", limit=1000)
    memory.require_memory("a.nii", 1000, "the scores", limit=1000)


def test_unknown_memory_sets_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    monkeypatch.delattr(os, "sysconf")
    assert available_memory() is None
    memory.require_memory("a.nii", 10**18, "the scores")


def test_numbers_are_those_of_the_file_before_and_after_pages_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"head" + NUMBERS.tobytes())
    found = map_numbers(tmp_path / "raw", NUMBERS.dtype, NUMBERS.size - 1, 6)
    for _ in range(2):
        assert found.tolist() == NUMBERS[1:].tolist()
        drop_pages(found)
    assert not found.flags.writeable


def test_pages_of_other_maps_are_kept(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(NUMBERS.tobytes())
    assert is_mapped(map_numbers(tmp_path / "raw", NUMBERS.dtype, 6, 0).reshape(2, 3).T[:, 1:])
    # Copy on write: what was changed is nowhere else, and would be lost.
    private = np.memmap(tmp_path / "raw", NUMBERS.dtype, "c")
    private[3] = 99
    drop_pages(private)
    assert private[3] == 99
    assert not is_mapped(private)
    assert not is_mapped(NUMBERS)


def test_blocks_follow_memory_and_cover_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 25)
    array = NUMBERS.reshape(2, 3, 4, 5)[1].transpose(
        2, 1, 0
    )  # X, Y, Z with X the fastest, as files have it
    found = list(blocks(array))
    whole = slice(None)
    assert found == [
        (whole, whole, slice(0, 1)),
        (whole, whole, slice(1, 2)),
        (whole, whole, slice(2, 3)),
    ]
    assert np.concatenate([array[box].ravel() for box in found]).sum() == array.sum()


def test_blocks_of_large_planes_are_parts_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 10)
    array = NUMBERS.reshape(2, 3, 4, 5)
    assert [array[box].size for box in blocks(array)] == 12 * [10]
    assert (
        np.concatenate([array[box].ravel() for box in blocks(array)]).tolist() == NUMBERS.tolist()
    )


def test_blocks_are_bounded_by_what_they_span(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((6, 100), np.uint8)[:, :1]
    assert len(list(blocks(array))) == 1
    monkeypatch.setattr("segkit.io.memory.BLOCK_SPAN", 300)
    assert [box[0] for box in blocks(array)] == [slice(0, 3), slice(3, 6)]


@pytest.mark.parametrize("dtype", ["i2", "f4", ">i2"])
def test_a_large_plain_nifti_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    array = NUMBERS.reshape(2, 3, 4, 5).astype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    nib.save(nib.Nifti1Image(array, np.eye(4), header, dtype=array.dtype), tmp_path / "a.nii")
    read = read_volume(tmp_path / "a.nii")
    monkeypatch.setattr("segkit.io.nifti.reader.MAPPED_FROM", 100)
    mapped = read_volume(tmp_path / "a.nii")
    assert (is_mapped(read.array), is_mapped(mapped.array)) == (False, not dtype.startswith(">"))
    assert np.array_equal(read.array, mapped.array)
    assert np.array_equal(open_source(tmp_path / "a.nii").planes(1, 3), read.array[..., 1:3])


def test_scaled_numbers_are_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.nifti.reader.MAPPED_FROM", 100)
    image = nib.Nifti1Image(NUMBERS.reshape(2, 3, 4, 5), np.eye(4))
    image.header.set_slope_inter(2, 1)
    nib.save(image, tmp_path / "a.nii")
    assert not is_mapped(read_volume(tmp_path / "a.nii").array)


def test_what_is_mapped_must_be_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.nifti.reader.MAPPED_FROM", 100)
    array = NUMBERS.reshape(2, 3, 4, 5).astype(np.float32)
    array[1, 1, 1, 1] = np.nan
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(
        InputError, match=r"a\.nii: expected a number in every voxel, found 1 of 120 that are NaN"
    ):
        read_volume(tmp_path / "a.nii")


def test_a_gzip_stream_is_not_copied(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(NUMBERS.reshape(2, 3, 4, 5), np.eye(4)), tmp_path / "a.nii.gz")
    source = open_source(tmp_path / "a.nii.gz")
    assert np.shares_memory(source.planes(0, 4), source.planes(1, 2))


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's count of the most memory held"
)
def test_a_large_scan_is_prepared_in_little_memory(tmp_path: Path) -> None:
    shape = (512, 512, 400)  # 210 MB
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    with (tmp_path / "a.nii").open("wb") as file:
        file.write(header.binaryblock.ljust(352, b"\0"))
        for plane in (0, 200, 399):
            file.seek(352 + plane * 512 * 512 * 2 + 2 * 512 * 100)
            file.write(np.arange(1, 101, dtype=np.int16).tobytes())
        file.truncate(352 + 512 * 512 * 400 * 2)
    code = f"""
from pathlib import Path
from segkit.io import read_volume
from segkit.plans.plan import ChannelPlan
from segkit.preprocessing.orient_and_crop import content_box
from segkit.preprocessing.intensity import normalizers

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
volume = read_volume({str(tmp_path / "a.nii")!r})
box = content_box(volume.array)
(found,) = normalizers(volume.array, [ChannelPlan("scan", "zscore")])
print([(span.start, span.stop) for span in box], found.lowest, found.highest)
print(memory("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    content, peak = done.stdout.splitlines()
    assert content == "[(0, 100), (100, 101), (0, 400)] 0.0 100.0"
    assert int(peak) < 120e6


@pytest.mark.parametrize(("name", "most"), [("a.nii", 120e6), ("a.nii.gz", 105e6 + 60e6)])
def test_numbers_that_are_scaled_take_no_more_memory(
    tmp_path: Path, peak_of: Callable[[str, str], int], name: str, most: float
) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((512, 512, 200))  # 105 MB, and 210 in float32
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 0.5, -1000
    with (
        igzip.open(tmp_path / name, "wb")
        if name.endswith("gz")
        else (tmp_path / name).open("wb") as file
    ):
        file.write(header.binaryblock.ljust(352, b"\0"))
        for _ in range(200):
            file.write(np.arange(512 * 512, dtype=np.int16).tobytes())
    imports = """
import nibabel, segkit.io.nifti.reader
from segkit.io.scans import read_unscaled
from segkit.plans.plan import ChannelPlan
from segkit.preprocessing.orient_and_crop import content_box
from segkit.preprocessing.intensity import apply_normalizers, normalizers
"""
    action = f"""
volume = read_unscaled({str(tmp_path / name)!r})
content_box(volume.array)
found = normalizers(volume.array, [ChannelPlan("scan", "zscore")])
assert (found[0].lowest, found[0].highest) == (-17384, 15383.5)
apply_normalizers(found, volume.array[:, :64, :64, :64], None)
"""
    assert peak_of(imports, action) < most


def test_label_maps_are_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.nifti.reader.MAPPED_FROM", 100)
    nib.save(nib.Nifti1Image(NUMBERS.reshape(6, 4, 5), np.eye(4)), tmp_path / "b.nii")
    assert is_mapped(read_volume(tmp_path / "b.nii").array)
    labels = read_labels(tmp_path / "b.nii").array
    assert labels.flags.writeable
    assert labels.tolist() == [NUMBERS.reshape(6, 4, 5).tolist()]


def test_a_label_map_is_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.nifti.writer._BLOCK_BYTES", 100)
    labels = NUMBERS.reshape(1, 6, 4, 5).astype(np.uint8)
    write_labels(tmp_path / "a.nii.gz", Volume(labels, np.eye(4)))
    assert np.array_equal(nib.load(tmp_path / "a.nii.gz").dataobj, labels[0])
