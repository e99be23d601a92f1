"""Tests of reading the channels of a scan in blocks."""

from __future__ import annotations

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


def test_stored_steps_are_scaled(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((4, 4, 4, 2), 51, np.uint8), np.eye(4))
    image.header.set_slope_inter(1 / 255, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    for _, _, values in channel_blocks(tmp_path / "a.nii.gz"):
        np.testing.assert_allclose(values, 0.2, rtol=1e-6)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    maps(tmp_path / "a.nii.gz")
    content = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="ends too early"):
        list(channel_blocks(tmp_path / "a.nii.gz"))
