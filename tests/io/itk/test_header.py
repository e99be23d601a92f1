"""Headers of NRRD and MetaImage: read as ITK reads them, and refused if malformed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segkit.errors import InputError
from segkit.io import from_object, open_source, read_volume

VOXELS = np.arange(24, dtype="<i2").tobytes()
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n"
FOUR = NRRD.replace("dimension: 3", "dimension: 4").replace("2 3 4", "2 3 2 2")
FLAT = NRRD.replace("2 3 4", "2 3 2")
TURNED = "space directions: (0,2,0) (0,0,3) (1,0,0)\nspace origin: (1,2,3)\n"
STRAIGHT = "space directions: (1,0,0) (0,2,0) (0,0,3)"
META = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\n"
LOCAL = "ElementDataFile = LOCAL\n"

SOUND_NRRD = [
    NRRD,
    NRRD.replace("\n", "\r\n"),
    NRRD + "spacings: 1 2 3\naxis mins: 5 6 7\n",
    NRRD + "spacings: nan 2 3\n",
    *(
        NRRD + f"space: {space}\n" + TURNED
        for space in ("right-anterior-superior", "LAS", "LPS", "scanner-xyz")
    ),
    NRRD + f"space dimension: 3\n{STRAIGHT}\n",
    FOUR,
    FOUR + f"kinds: domain domain domain list\nspace: RAS\n{STRAIGHT} none\n",
    FOUR + "space: RAST\nspace directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)\n",
    FLAT + "kinds: 2-vector domain domain\n",
    FLAT + "kinds: domain domain list\n",
    NRRD.replace("type: short", "TYPE: int16_t")
    + "byteskip: 0\nkey:=value: with colon\n# comment: x\n",
]
SOUND_META = [
    META,
    META
    + "BinaryData = True\nTransformMatrix = 0 1 0 0 0 1 1 0 0\n"
    + "Offset = 1 2 3\nElementSize = 1 2 3\n",
    META + "Position = 1 2 3\nElementSpacing = 1 2 3\n",
    META.replace("2 3 4", "2 3 2") + "ElementNumberOfChannels = 2\n",
    META.replace("NDims = 3", "NDims = 4").replace("2 3 4", "2 3 2 2"),
    META.replace("MET_SHORT", "MET_LONG").replace("2 3 4", "2 3 2"),
    META.replace("NDims = 3", "NDims = 2").replace("2 3 4", "4 6") + "ElementSpacing = 2 3\n",
]


@pytest.mark.parametrize(
    ("name", "header"),
    [("a.nrrd", each + "\n") for each in SOUND_NRRD]
    + [("a.mha", each + LOCAL) for each in SOUND_META],
)
def test_as_itk_reads_it(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / name).write_bytes(header.encode() + VOXELS)
    theirs, ours = from_object(sitk.ReadImage(str(tmp_path / name))), read_volume(tmp_path / name)
    np.testing.assert_array_equal(ours.array, theirs.array)
    np.testing.assert_allclose(ours.affine, theirs.affine)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (NRRD.replace("dimension: 3", "dimension: 99"), "dimension 99, where 1 to 16 can be"),
        (NRRD.replace("dimension: 3\n", ""), "a header without dimension"),
        (NRRD.replace("2 3 4", "2 3"), "sizes '2 3', which should be 3 whole numbers"),
        (NRRD.replace("2 3 4", "2 3 99999999999999"), "which no image has"),
        (NRRD.replace("2 3 4", "2 3 " + "9" * 5000), r"sizes '2 3 9{56}\.\.\.', which should be"),
        (NRRD.replace("2 3 4", "2 3 0"), "the shape 2 x 3 x 0"),
        (NRRD.replace("short", "block"), "voxels of the type 'block'"),
        (NRRD.replace("raw", "zrl"), "the encoding 'zrl'"),
        (NRRD.replace("endian: little\n", ""), "without endian: little or big"),
        (NRRD + "space: LPS\nspacings: 1 2 3\n", "space directions 'missing'"),
        (NRRD + "space: right-posterior-superior\n", "the space 'right-posterior-superior'"),
        (NRRD + f"space: LPS\n{STRAIGHT}\nspace origin: (1,2)\n", r"space origin '\(1,2\)'"),
        (NRRD + "spacings: 1 two 3\n", "spacings '1 two 3', which should be 3 numbers"),
        (NRRD + "kinds: domain\n", "1 kinds for 3 axes"),
        (NRRD + "kinds: list list domain\n", "2 axes that are no axes of space"),
        (NRRD + "line skip: -4\n", "a line skip of -4"),
        (NRRD + "byte skip: " + "9" * 30 + "\n", "which should be 1 whole number"),
        (
            FOUR + f"space: RAS\nkinds: space space space time\n{STRAIGHT} none\n",
            "a fourth axis that is not said",
        ),
    ],
)
def test_malformed_nrrd(tmp_path: Path, header: str, found: str) -> None:
    (tmp_path / "a.nrrd").write_bytes(f"{header}\n".encode() + VOXELS)
    with pytest.raises(InputError, match=found):
        open_source(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (META.replace("NDims = 3", "NDims = 1000000"), "NDims 1000000, where 1 to 16 can be"),
        (META.replace("NDims = 3", "NDims = x"), "NDims 'x', which should be 1 whole number"),
        (META.replace("2 3 4", "2 -3 4"), "DimSize '2 -3 4', which no image has"),
        (META.replace("MET_SHORT", "MET_STRING"), "voxels of the type 'MET_STRING'"),
        (META + "ElementSpacing = " + "1 " * 3000 + "\n", "which should be 3 numbers"),
        (META + "TransformMatrix = 1 0 0\n", "TransformMatrix '1 0 0', which should be 9 numbers"),
        (META + "ElementNumberOfChannels = 0\n", "with 0 channels"),
        (META.replace("ElementType = MET_SHORT\n", ""), "a header without ElementType"),
    ],
)
def test_malformed_metaimage(tmp_path: Path, header: str, found: str) -> None:
    (tmp_path / "a.mha").write_bytes((header + LOCAL).encode() + VOXELS)
    with pytest.raises(InputError, match=found):
        open_source(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("LIST", "a list or pattern of files"),
        ("LIST 2", "a list or pattern of files"),
        ("slice%03d.raw 1 4 1", "a list or pattern of files"),
        ("/etc/hostname", "voxels in another folder"),
        ("../a.raw", "voxels in another folder"),
        ("sub/../../a.raw", "voxels in another folder"),
        ("pipe", "which is no ordinary file"),
        ("sub", "which is no ordinary file"),
        ("gone.raw", "no file 'gone.raw'"),
    ],
)
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_where_voxels_may_be(tmp_path: Path, suffix: str, name: str, found: str) -> None:
    folder = tmp_path / "scan"
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    header = (
        META + f"ElementDataFile = {name}\n" if suffix == ".mhd" else NRRD + f"data file: {name}\n"
    )
    (folder / f"a{suffix}").write_text(header)
    with pytest.raises(InputError, match=found):
        open_source(folder / f"a{suffix}")


def test_voxels_below_the_folder_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.raw").write_bytes(VOXELS)
    (tmp_path / "a.mhd").write_text(META + "ElementDataFile = sub/a.raw\n")
    (tmp_path / "a.nhdr").write_text(NRRD + f"data file: {tmp_path / 'sub' / 'a.raw'}\n")
    for name in ("a.mhd", "a.nhdr"):
        assert read_volume(tmp_path / name).array.ravel(order="F").tolist() == list(range(24))


def test_header_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(NRRD.encode() + b"# comment\n" * 200_000)
    with pytest.raises(InputError, match="no end of the header within 1048576 bytes"):
        open_source(tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").write_text(NRRD)
    with pytest.raises(InputError, match="neither voxels nor the name of a file with them"):
        open_source(tmp_path / "a.nrrd")
