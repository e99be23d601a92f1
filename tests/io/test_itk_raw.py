"""Large NRRD and MetaImage files of plain numbers are mapped; whatever else they are, ITK reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.mapped import is_mapped

VOXELS = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2)


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.itk_raw.MAPPED_FROM", 0)


def written(path: Path, *, packed: bool = False, dtype: str = "i2") -> Path:
    image = sitk.GetImageFromArray(VOXELS.astype(dtype))
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(path), useCompression=packed)
    return path


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_plain_numbers_are_mapped(tmp_path: Path, name: str) -> None:
    volume = read_volume(written(tmp_path / name))
    packed = read_volume(written(tmp_path / f"packed_{name}", packed=True))
    assert is_mapped(volume.array)
    assert not is_mapped(packed.array)
    assert volume.array.tolist() == packed.array.tolist() == [VOXELS.T.tolist()]
    assert volume.spacing == packed.spacing == (1, 2, 3)


NOISE = np.random.default_rng(0).integers(0, 999, (9, 8, 7)).astype(np.int16)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_packed_numbers_are_unpacked_once(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), useCompression=True)
    monkeypatch.delattr("segkit.io.itk._guarded")  # through which ITK reads voxels
    with pytest.raises(NameError):
        read_volume(tmp_path / name)


@pytest.mark.parametrize(("name", "found"), [("a.nrrd", "CRC check failed"), ("a.mha", "Incorrect checksum found")])
def test_a_packed_file_that_is_damaged(tmp_path: Path, name: str, found: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), useCompression=True)
    content = bytearray((tmp_path / name).read_bytes())
    content[-6 if name == "a.nrrd" else -2] ^= 255  # in the checksum
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.{name[2:]}: .*{found}"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_packed_file_of_fewer_numbers(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), useCompression=True)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content.replace(b"7 8 9", b"7 8 8", 1).replace(b"7 8 8", b"7 8 99", 1))
    with pytest.raises(InputError, match="expected 11088 bytes as its header promises, found 1008 bytes"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_packed_file_that_was_cut(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), useCompression=True)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"a\.{name[2:]}: expected"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_file_with_more_behind_its_voxels_is_read_by_itk(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, dtype="u1")
    assert is_mapped(read_volume(path).array)
    path.write_bytes(path.read_bytes() + b"x")
    volume = read_volume(path)
    assert not is_mapped(volume.array)
    assert volume.array.tolist() == [VOXELS.T.tolist()]


@pytest.mark.parametrize(
    ("name", "little", "big"),
    [
        ("a.nrrd", b"endian: little", b"endian: big"),
        ("a.mha", b"BinaryDataByteOrderMSB = False", b"BinaryDataByteOrderMSB = True"),
    ],
)
def test_foreign_byte_order_is_read_by_itk(tmp_path: Path, name: str, little: bytes, big: bytes) -> None:
    path = written(tmp_path / name)
    content = path.read_bytes()
    assert little in content
    head, numbers = content[: -VOXELS.nbytes], VOXELS.astype(">i2").tobytes()
    path.write_bytes(head.replace(little, big) + numbers)
    volume = read_volume(path)
    assert not is_mapped(volume.array)
    assert volume.array.tolist() == [VOXELS.T.tolist()]


def test_channels_are_read_by_itk(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[..., None].repeat(3, -1), isVector=True), str(tmp_path / "a.nrrd"))
    volume = read_volume(tmp_path / "a.nrrd")
    assert not is_mapped(volume.array)
    assert volume.array.shape == (3, 2, 3, 4)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_packed_scan_is_held_once(tmp_path: Path, peak_of: Callable[[str, str], int], name: str) -> None:
    sitk.WriteImage(sitk.Image((512, 512, 200), sitk.sitkInt16), str(tmp_path / name), useCompression=True)  # 105 MB
    action = f"volume = read_volume({str(tmp_path / name)!r})"
    assert 100e6 < peak_of("import segkit.io.itk; from segkit.io import read_volume", action) < 130e6
