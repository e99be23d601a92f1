"""Voxels of NRRD and MetaImage files: mapped, unpacked once, or read from text."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.memory import is_mapped

VOXELS = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2)


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.itk.voxels.MAPPED_FROM", 0)


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


@pytest.mark.parametrize(
    ("name", "found"), [("a.nrrd", "CRC check failed"), ("a.mha", "Incorrect checksum found")]
)
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
    (tmp_path / name).write_bytes(
        content.replace(b"7 8 9", b"7 8 8", 1).replace(b"7 8 8", b"7 8 99", 1)
    )
    with pytest.raises(
        InputError, match="expected 11088 bytes as its header promises, found 1008 bytes"
    ):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_packed_file_that_was_cut(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), useCompression=True)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"a\.{name[2:]}: expected"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_file_with_more_behind_its_voxels(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, dtype="u1")
    path.write_bytes(path.read_bytes() + b"x")
    assert read_volume(path).array.tolist() == [VOXELS.T.tolist()]


@pytest.mark.parametrize(
    ("name", "little", "big"),
    [
        ("a.nrrd", b"endian: little", b"endian: big"),
        ("a.mha", b"BinaryDataByteOrderMSB = False", b"BinaryDataByteOrderMSB = True"),
    ],
)
def test_foreign_byte_order(tmp_path: Path, name: str, little: bytes, big: bytes) -> None:
    path = written(tmp_path / name)
    content = path.read_bytes()
    assert little in content
    head, numbers = content[: -VOXELS.nbytes], VOXELS.astype(">i2").tobytes()
    path.write_bytes(head.replace(little, big) + numbers)
    volume = read_volume(path)
    assert not is_mapped(volume.array)
    assert volume.array.tolist() == [VOXELS.T.tolist()]


def test_channels(tmp_path: Path) -> None:
    sitk.WriteImage(
        sitk.GetImageFromArray(VOXELS[..., None].repeat(3, -1), isVector=True),
        str(tmp_path / "a.nrrd"),
    )
    volume = read_volume(tmp_path / "a.nrrd")
    assert volume.array.tolist() == [VOXELS.T.tolist()] * 3


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_packed_scan_is_held_once(
    tmp_path: Path, peak_of: Callable[[str, str], int], name: str
) -> None:
    sitk.WriteImage(
        sitk.Image((512, 512, 200), sitk.sitkInt16), str(tmp_path / name), useCompression=True
    )  # 105 MB
    action = f"volume = read_volume({str(tmp_path / name)!r})"
    assert (
        100e6
        < peak_of("import segkit.io.itk.reader; from segkit.io import read_volume", action)
        < 130e6
    )


NRRD = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: {}\n{}\n"


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("bzip2", bz2.compress(VOXELS.tobytes())),
        ("hex", VOXELS.tobytes().hex("\n", 4).encode()),
        ("ascii", " ".join(map(str, VOXELS.ravel())).encode()),
        ("text", ",\n".join(map(str, VOXELS.ravel())).encode()),
    ],
)
def test_other_encodings(tmp_path: Path, encoding: str, content: bytes) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(NRRD.format(encoding, "").encode() + content)
    assert read_volume(path).array.tolist() == [VOXELS.T.tolist()]
    path.write_bytes(NRRD.format(encoding, "").encode() + content[:-6])
    with pytest.raises(InputError, match=r"fewer voxels|a compressed file that ends too early"):
        read_volume(path)


def test_words_that_are_no_voxels(tmp_path: Path) -> None:
    for encoding, found in (
        ("text", "words that are no voxels"),
        ("hex", "digits that are no voxels"),
    ):
        (tmp_path / "a.nrrd").write_bytes(NRRD.format(encoding, "").encode() + b"zz " * 48)
        with pytest.raises(InputError, match=found):
            read_volume(tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").write_bytes(NRRD.format("text", "").encode() + b"99999 " * 24)
    with pytest.raises(InputError, match="words that are no voxels of this type"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_voxels_at_the_end(tmp_path: Path, encoding: str) -> None:
    pack = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}[encoding]
    path = tmp_path / "a.nrrd"
    for skip in (-1, 8):
        head = NRRD.format(encoding, f"byte skip: {skip}\n").encode()
        path.write_bytes(head + pack(b"in front" + VOXELS.tobytes()))
        assert read_volume(path).array.tolist() == [VOXELS.T.tolist()]
    path.write_bytes(
        NRRD.format(encoding, "byte skip: -9999\n").encode() + pack(b"in front" + VOXELS.tobytes())
    )
    with pytest.raises(InputError, match="a 'byte skip' that leads out of the file"):
        read_volume(path)


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_no_more_is_unpacked_than_the_header_promises(
    tmp_path: Path, encoding: str, peak_of: Callable[[str, str], int]
) -> None:
    """40 MB of zeros in a file of less than 0.05 MB."""
    pack = gzip.compress if encoding == "gzip" else bz2.compress
    path = tmp_path / "a.nrrd"
    path.write_bytes(NRRD.format(encoding, "").encode() + pack(bytes(40_000_000)))
    assert (
        peak_of(
            "import segkit.io.itk.reader; from segkit.io import read_volume",
            f"read_volume({str(path)!r})",
        )
        < 20e6
    )


def test_compressed_voxels_beside_the_header(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(NOISE)
    sitk.WriteImage(image, str(tmp_path / "a.mhd"), useCompression=True)
    assert (tmp_path / "a.zraw").exists()
    assert read_volume(tmp_path / "a.mhd").array.tolist() == [NOISE.T.tolist()]
