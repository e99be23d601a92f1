"""NRRD and MetaImage: affine from LPS+ to RAS+, channels, and errors of damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segkit.errors import InputError
from segkit.io import from_object, open_source, read_labels, read_volume, write_image, write_labels
from segkit.volume import Volume

META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = {directions}
Offset = 0 0 0
ElementSpacing = {spacing}
DimSize = {size}
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""


def meta(
    path: Path,
    *,
    directions: str = "1 0 0 0 1 0 0 0 1",
    spacing: str = "1 1 1",
    size: str = "2 3 4",
) -> Path:
    head = META.format(directions=directions, spacing=spacing, size=size)
    path.write_bytes(head.encode() + np.arange(24, dtype="<i2").tobytes())
    return path


def ramp() -> Volume:
    affine = np.array([[-2.0, 0, 0, 10], [0, -3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])
    return Volume(np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4), affine)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_itk_finds_the_same_place(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, ramp())
    image = sitk.ReadImage(str(tmp_path / name))
    assert image.GetOrigin() == (-10, -20, 30)
    assert image.GetSpacing() == (2, 3, 4)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert image[1, 2, 3] == 23


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd", "a.nhdr"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f4", "f8"])
def test_types(tmp_path: Path, name: str, dtype: str) -> None:
    array = np.arange(24).reshape(4, 3, 2).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
    source = open_source(tmp_path / name)
    assert (source.grid.shape, source.channels, source.dtype) == ((2, 3, 4), 1, np.dtype(dtype))
    np.testing.assert_array_equal(source.planes(1, 3)[0], array.T[..., 1:3])


def test_components_of_a_pixel_are_channels(tmp_path: Path) -> None:
    array = np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "a.nrrd"))
    np.testing.assert_array_equal(
        read_volume(tmp_path / "a.nrrd").array, array.transpose(3, 2, 1, 0)
    )


def test_a_fourth_axis_is_channels(tmp_path: Path) -> None:
    array = np.arange(48, dtype=np.uint8).reshape(2, 4, 3, 2)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(
        read_volume(tmp_path / "a.mha").array, array.transpose(0, 3, 2, 1)
    )


def test_flat_image_has_one_plane_of_1_mm(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(6, dtype=np.uint8).reshape(3, 2))
    image.SetSpacing((0.5, 0.7))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = read_volume(tmp_path / "a.mha")
    assert volume.array.shape == (1, 2, 3, 1)
    assert volume.spacing == (0.5, 0.7, 1.0)
    assert volume.array[0, 1, 2, 0] == 5


def test_flat_image_with_colors(tmp_path: Path) -> None:
    array = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(
        read_volume(tmp_path / "a.mha").array[..., 0], array.transpose(2, 1, 0)
    )


def test_channels_are_written_as_components(tmp_path: Path) -> None:
    volume = Volume(np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4), np.eye(4))
    write_image(tmp_path / "a.mha", volume)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").array, volume.array)


def test_layers_are_no_label_map(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nrrd", Volume(np.ones((2, 2, 3, 4), np.uint8), np.eye(4)))
    with pytest.raises(
        InputError,
        match="expected a label map with one value per voxel, found 2 channels or layers",
    ):
        read_labels(tmp_path / "a.nrrd")


def test_names_are_kept_as_3d_slicer_does(tmp_path: Path) -> None:
    labels = Volume(np.zeros((1, 2, 3, 4), np.uint8), np.eye(4))
    write_labels(tmp_path / "a.nrrd", labels, names={"liver": 5, "spleen": 300})
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "liver"
    assert image.GetMetaData("Segment1_LabelValue") == "300"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.nrrd", "ends too early|expected 2000 bytes"),
        ("a.mha", "a compressed file that ends too early"),
    ],
)
def test_truncated(tmp_path: Path, name: str, message: str) -> None:
    noise = np.random.default_rng(0).integers(0, 99, (1, 10, 10, 10)).astype(np.int16)
    write_image(tmp_path / name, Volume(noise, np.eye(4)))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-200])
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / name)


def test_truncated_without_packing(tmp_path: Path) -> None:
    sitk.WriteImage(
        sitk.Image([9, 9, 9], sitk.sitkInt16), str(tmp_path / "a.nrrd"), useCompression=False
    )
    (tmp_path / "a.nrrd").write_bytes((tmp_path / "a.nrrd").read_bytes()[:-200])
    with pytest.raises(
        InputError, match=r"found fewer voxels than its header promises \(1258 of 1458 bytes\)"
    ):
        read_volume(tmp_path / "a.nrrd")


def test_header_promises_more_than_the_file_or_the_memory(tmp_path: Path) -> None:
    for size in ("20 30 40", "100000 100000 100000"):
        with pytest.raises(InputError, match="fewer voxels than its header promises"):
            open_source(meta(tmp_path / "a.mha", size=size))
    text = (tmp_path / "a.mha").read_bytes().replace(b"BinaryData = True", b"BinaryData = False")
    (tmp_path / "a.mha").write_bytes(text)
    with pytest.raises(InputError, match=r"found a header that promises 100000000\.0 GB of voxels"):
        open_source(tmp_path / "a.mha")


def test_no_voxels_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found the shape 0 x 2 x 2 with 1 channels"):
        open_source(meta(tmp_path / "a.mha", size="0 2 2"))


def test_voxels_in_a_file_that_is_gone(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([2, 2, 2], sitk.sitkInt16), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").unlink()
    with pytest.raises(
        InputError, match="Its voxels are in another file, which must be copied with it"
    ):
        read_volume(tmp_path / "a.mhd")


def test_something_else_with_this_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_text("nothing")
    with pytest.raises(
        InputError, match="expected a sound NRRD file, found no header of this format"
    ):
        open_source(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("directions", "message"),
    [("1 0 0 0.3 1 0 0 0 1", "found a shear: two axes meet at 73"), ("1 0 0 1 0 0 0 0 1", "found")],
)
def test_bad_geometry(tmp_path: Path, directions: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_volume(meta(tmp_path / "a.mha", directions=directions))


def test_complex_numbers(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image(2, 3, sitk.sitkComplexFloat32), str(tmp_path / "a.nrrd"))
    with pytest.raises(InputError, match="found complex of 32-bit float"):
        open_source(tmp_path / "a.nrrd")


def test_voxels_that_are_not_finite(tmp_path: Path) -> None:
    write_image(tmp_path / "a.mha", Volume(np.full((1, 2, 2, 2), np.nan), np.eye(4)))
    with pytest.raises(InputError, match="found 8 of 8 that are NaN or infinite"):
        read_volume(tmp_path / "a.mha")


def test_simpleitk_image_in_memory() -> None:
    image = sitk.GetImageFromArray(np.arange(24).reshape(4, 3, 2))
    image.SetSpacing((2, 3, 4))
    volume = from_object(image)
    np.testing.assert_array_equal(volume.affine, np.diag([-2.0, -3.0, 4.0, 1.0]))
    assert volume.array[0, 1, 2, 3] == 23
    with pytest.raises(InputError, match="found the shape 2 x 2 x 2 x 2 x 2 with 1 channels"):
        from_object(sitk.Image([2, 2, 2, 2, 2], sitk.sitkUInt8))


def test_complex_metaimage_is_two_channels() -> None:
    """MetaImage has no complex type: the two channels are refused by a model of one channel."""
    assert sitk.GetPixelIDValueAsString(sitk.sitkComplexFloat32) == "complex of 32-bit float"
    with pytest.raises(InputError, match=r"SimpleITK image: .* found complex of 64-bit float"):
        from_object(sitk.Image([2, 2, 2], sitk.sitkComplexFloat64))


def test_flat_scan_gets_a_flat_label_map(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 3), np.int16))
    image.SetSpacing((0.5, 0.7))
    image.SetDirection((0, 1, 1, 0))
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    labels = Volume(
        np.arange(6, dtype=np.uint8).reshape(1, 3, 2, 1), read_volume(tmp_path / "scan.mha").affine
    )
    write_labels(tmp_path / "a.nrrd", labels, like=tmp_path / "scan.mha")
    written = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert (written.GetSize(), written.GetSpacing(), written.GetDirection()) == (
        (3, 2),
        (0.5, 0.7),
        (0, 1, 1, 0),
    )
    assert written.GetPixel((2, 1)) == 5


def test_suffix_in_capitals(tmp_path: Path) -> None:
    for name in ("A.MHA", "A.NRRD"):
        write_image(tmp_path / name, Volume(np.ones((1, 2, 3, 4), np.uint8), np.eye(4)))
        assert read_volume(tmp_path / name).array.sum() == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.MHA", "A.NRRD"]
