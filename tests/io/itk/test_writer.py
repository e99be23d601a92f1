"""Files that are written in blocks equal those of ITK."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segkit.io import write_image
from segkit.volume import Volume

AFFINE = np.array([[0.8, 0, 0.3, 1 / 3], [0, -1.5, 0, 20], [0.1, 0, 3, -7], [0, 0, 0, 1]])


def header(path: Path) -> bytes:
    content = path.read_bytes()
    end = re.search(rb"\n\n" if path.suffix == ".nrrd" else rb"LOCAL\n", content)
    assert end is not None
    return re.sub(rb"CompressedDataSize = .*", b"", content[: end.end()])


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
@pytest.mark.parametrize("channels", [1, 2])
def test_header_and_voxels_are_those_of_itk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, channels: int
) -> None:
    monkeypatch.setattr("segkit.io.itk.writer._BLOCK_BYTES", 100)
    array = np.random.default_rng(0).integers(0, 200, (channels, 5, 4, 3)).astype(dtype)
    volume = Volume(array, AFFINE)
    write_image(tmp_path / name, volume)
    theirs = tmp_path / f"itk_{name}"
    sitk.WriteImage(volume.to_sitk(), str(theirs), useCompression=True)
    assert header(tmp_path / name) == header(theirs)
    found, expected = sitk.ReadImage(str(tmp_path / name)), sitk.ReadImage(str(theirs))
    assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected))
    assert found.GetNumberOfComponentsPerPixel() == channels


def test_the_compressed_length_in_the_header(tmp_path: Path) -> None:
    write_image(tmp_path / "a.mha", Volume(np.ones((1, 50, 40, 30), np.uint8), np.eye(4)))
    content = (tmp_path / "a.mha").read_bytes()
    written = re.search(rb"CompressedDataSize = (\d+) *\n", content)
    assert written is not None
    assert int(written[1]) == len(content) - content.index(b"LOCAL\n") - len(b"LOCAL\n")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_label_map_is_not_copied(
    tmp_path: Path, peak_of: Callable[[str, str], int], name: str
) -> None:
    prepare = """
import numpy, segkit.io.itk.reader
from segkit.io import write_labels
from segkit.volume import Volume
labels = Volume(numpy.ones((1, 512, 512, 300), numpy.uint8), numpy.eye(4))  # 79 MB
"""
    assert peak_of(prepare, f"write_labels({str(tmp_path / name)!r}, labels)") < 50e6
