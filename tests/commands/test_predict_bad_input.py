"""Scans and models that cannot be used: exit code 3, a message with the remedy, and no output."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
NOISE = np.random.default_rng(0).integers(-99, 99, (20, 20, 9)).astype(np.int16)
Write = Callable[[Path], Any]


def nifti(array: np.ndarray, affine: np.ndarray | None = None) -> Write:
    return lambda path: nibabel.save(
        nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path
    )


def itk(image: Any) -> Write:
    return lambda path: SimpleITK.WriteImage(image, str(path), useCompression=True)


def cut(write: Write) -> Write:
    """Return the file without its last third."""

    def half(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])

    return half


def with_bytes(offset: int, content: bytes) -> Write:
    """Return an uncompressed NIfTI with other bytes in its header."""

    def patched(path: Path) -> None:
        nifti(NOISE)(path)
        whole = bytearray(path.read_bytes())
        whole[offset : offset + len(content)] = content
        path.write_bytes(whole)

    return patched


def packed(write: Write) -> Write:
    """Return the same bytes in a gzip stream."""

    def written(path: Path) -> None:
        plain = path.with_suffix("")
        write(plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()

    return written


def large(write: Write) -> Write:
    """Return a gzip stream, followed by a hole that takes no space on the disk.

    The file is then large enough for the size that its header promises.
    """

    def written(path: Path) -> None:
        plain = path.with_suffix("")
        write(plain)
        path.write_bytes(
            gzip.compress(plain.read_bytes() + np.random.default_rng(0).bytes(1 << 20))
        )
        plain.unlink()
        os.truncate(path, 8 << 30)

    return written


def text(header: str) -> Write:
    """Return a header and a few voxels."""
    return lambda path: path.write_bytes(header.encode() + bytes(2000))


def mha(size: str, direction: str = "1") -> Write:
    return text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = "
        "False\nCompressedData = True\n"
        f"TransformMatrix = {direction} 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 "
        f"1\nDimSize = {size}\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )


def nrrd(size: str, direction: str = "1") -> Write:
    return text(
        f"NRRD0004\ntype: short\ndimension: 3\nsizes: {size}\nspace: left-posterior-superior\n"
        f"space directions: ({direction},0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: "
        f"little\n"
        "encoding: gzip\n\n"
    )


def with_nan(value: float) -> np.ndarray:
    array = NOISE.astype(np.float32)
    array[3, 4, 5] = value
    return array


BAD: list[tuple[str, Write, str]] = [
    ("missing.nii.gz", lambda _: None, "expected a file, found no such file"),
    ("empty.nii.gz", lambda path: path.touch(), "found an empty file. Copy or download it"),
    (
        "page.nii.gz",
        lambda path: path.write_text("\n<!DOCTYPE html><html>"),
        "found a web page (HTML). Download it again",
    ),
    (
        "noise.nii.gz",
        lambda path: path.write_text("a text"),
        "found no NIfTI header at its start. Copy or download it again, or convert",
    ),
    ("cut.nii.gz", cut(nifti(NOISE)), "found a compressed file that ends too early"),
    ("cut.nii", cut(nifti(NOISE)), "bytes as its header promises"),
    (
        "cut.mha",
        cut(itk(SimpleITK.GetImageFromArray(NOISE))),
        "found a compressed file that ends too early",
    ),
    (
        "cut.nrrd",
        cut(itk(SimpleITK.GetImageFromArray(NOISE))),
        "found a compressed file that ends too early",
    ),
    (
        "nan.nii.gz",
        nifti(with_nan(np.nan)),
        "expected a number in every voxel, found 1 of 3600 that are NaN or infinite. Replace them",
    ),
    (
        "only_nan.nii.gz",
        nifti(np.full((5, 5, 5), np.nan, np.float32)),
        "No voxel has a number: export or copy it again.",
    ),
    (
        "inf.mha",
        itk(SimpleITK.GetImageFromArray(with_nan(np.inf))),
        "found 1 of 3600 that are NaN or infinite",
    ),
    (
        "channels.nii.gz",
        nifti(np.zeros((5, 5, 5, 2), np.int16)),
        "expected 1 channel (CT), found 2. The file has more images than the model uses (time "
        "points, contrasts or colors). Save the one that is meant as a file of its own.",
    ),
    (
        "layers.nii.gz",
        nifti(np.zeros((5, 5, 5, 2, 2), np.int16)),
        "found the shape 5 x 5 x 5 x 2 x 2",
    ),
    (
        "picture.png",
        lambda path: Image.new("L", (9, 9)).save(path),
        "expected a scan with voxel sizes in mm",
    ),
    ("promise.nii", with_bytes(42, b"\xff\x7f" * 3), "bytes as its header promises"),
    (
        "promise.nii.gz",
        packed(with_bytes(42, b"\x40\x00")),
        "bytes as its header promises, found 7552 bytes",
    ),
    (
        "absurd.nii.gz",
        packed(with_bytes(42, b"\xff\x7f" * 3)),
        "bytes as its header promises, found at most",
    ),
    (
        "memory.nii.gz",
        large(with_bytes(42, b"\xff\x7f\xff\x7f\xb8\x0b")),
        "a header that promises 6442",
    ),
    ("memory.mha", mha("30000 30000 30000"), "expected 54000000000000 bytes as its header"),
    ("memory.nrrd", nrrd("30000 30000 30000"), "expected 54000000000000 bytes as its header"),
    ("direction.mha", mha("3 3 3", "nan"), "expected an affine that places every voxel"),
    ("direction.nrrd", nrrd("3 3 3", "nan"), "expected an affine that places every voxel"),
    ("negative.nii", with_bytes(42, b"\xfb\xff"), "found the shape -5 x 20 x 9"),
    ("kind.nii", with_bytes(70, b"\x0f\x27"), "found a damaged header"),
    ("zero.nii", with_bytes(280, bytes(48)), "expected an affine that places every voxel"),
    (
        "flat.nii",
        with_bytes(280, np.array([1, 1, 0, 0] * 2, "<f4").tobytes()),
        "voxel axes that point the same way",
    ),
    (
        "nan_affine.nii",
        with_bytes(280, np.array([np.nan], "<f4").tobytes()),
        "found NaN or infinite numbers in it",
    ),
    (
        "inf_affine.nii",
        with_bytes(280, np.array([np.inf], "<f4").tobytes()),
        "found NaN or infinite numbers in it",
    ),
    ("one_axis.nii", nifti(np.zeros(9, np.int16)), "expected 2 or 3 voxel axes"),
    ("no_voxel.nii", nifti(np.zeros((9, 9, 0), np.int16)), "found the shape 9 x 9 x 0"),
    (
        "shear.nii.gz",
        nifti(NOISE, np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        "a shear",
    ),
    ("complex.nii.gz", nifti(np.zeros((4, 4, 4), np.complex64)), "found complex numbers"),
    (
        "complex.nrrd",
        itk(SimpleITK.Image([4, 4, 4], SimpleITK.sitkComplexFloat32)),
        "found complex of 32-bit float",
    ),
    (
        "complex.mha",
        itk(SimpleITK.Image([4, 4, 4], SimpleITK.sitkComplexFloat32)),
        "expected 1 channel (CT), found 2",
    ),
    ("scan.dcm", lambda path: path.touch(), "found no file that begins as DICOM does"),
    ("scan.mgz", lambda path: path.touch(), "found the suffix '.mgz'"),
    ("noise", lambda path: path.touch(), "found no suffix"),
]


@pytest.mark.parametrize(("name", "write", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_a_scan_that_cannot_be_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, write: Write, message: str
) -> None:
    write(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    assert (
        main(["predict", str(tmp_path / name), "-o", str(tmp_path / "o.nii.gz"), "-m", str(FROZEN)])
        == 3
    )
    out, err = capfd.readouterr()
    assert f"error: {tmp_path / name}" in err
    assert ": expected " in err
    assert message in err
    assert "Traceback" not in err
    assert not out
    assert sorted(tmp_path.iterdir()) == before


def test_a_gzip_stream_that_is_cut_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nifti(NOISE)(tmp_path / "whole.nii.gz")
    whole = (tmp_path / "whole.nii.gz").read_bytes()
    lengths = [
        0,
        1,
        2,
        9,
        17,
        18,
        300,
        *range(500, len(whole), 500),
        len(whole) - 8,
        len(whole) - 1,
    ]
    (tmp_path / "in").mkdir()
    for length in lengths:
        (tmp_path / "in" / f"{length}.nii.gz").write_bytes(whole[:length])
    assert (
        main(["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(FROZEN)]) == 5
    )
    assert f"{len(lengths)} of {len(lengths)} scans failed" in capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert all(": expected " in entry["message"] for entry in record.values())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]


def edited(folder: Path, file: str, **changes: Any) -> None:
    shutil.copytree(FROZEN, folder, dirs_exist_ok=True)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **changes}))


MODELS: list[tuple[Write, str]] = [
    (lambda _: None, "expected a model: a bundle or run folder"),
    (lambda folder: folder.mkdir(), "bundle.json: expected a file of the bundle, found none"),
    (lambda folder: folder.touch(), "expected a .segkit file (a zip)"),
    (
        lambda folder: edited(folder, "bundle.json", format_version=2),
        "expected bundle format 1 or older, found format 2",
    ),
    (
        lambda folder: edited(folder, "bundle.json", kind="other"),
        "expected the kind 'segkit bundle', found 'other'",
    ),
    (lambda folder: edited(folder, "plan.json", name="other"), "plan.json: expected sha256"),
]


@pytest.mark.parametrize(("write", "message"), MODELS)
def test_a_model_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Write, message: str
) -> None:
    nifti(NOISE)(tmp_path / "a.nii")
    write(tmp_path / "model")
    words = [
        str(tmp_path / "a.nii"),
        "-o",
        str(tmp_path / "o.nii.gz"),
        "-m",
        str(tmp_path / "model"),
    ]
    assert main(["predict", *words]) == 3
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "o.nii.gz").exists()


def test_more_than_the_memory_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nifti(NOISE, np.diag([4e4, 4e4, 1, 1]))(tmp_path / "far.nii.gz")
    assert (
        main(
            [
                "predict",
                str(tmp_path / "far.nii.gz"),
                "-o",
                str(tmp_path / "o.nii.gz"),
                "-m",
                str(FROZEN),
            ]
        )
        == 4
    )
    assert (
        "resampled to the 800000 x 800000 x 9 of the model's spacing, take"
        in capsys.readouterr().err
    )
    nifti(NOISE)(tmp_path / "a.nii.gz")
    words = [
        str(tmp_path / "a.nii.gz"),
        "-o",
        str(tmp_path / "o.nii.gz"),
        "-m",
        str(FROZEN),
        "--max-memory",
        "1KB",
    ]
    assert main(["predict", *words]) == 4
    assert "20 x 20 x 9 voxels take at least" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "far.nii.gz"]
