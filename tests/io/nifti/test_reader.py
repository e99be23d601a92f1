"""NIfTI: voxels agree with nibabel, damaged files are refused, affines are copied exactly."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io import from_object, open_source, read_volume, write_image, write_labels
from segkit.io.nifti.header import read_header
from segkit.io.scaled import ScaledArray
from segkit.io.scans import read_unscaled
from segkit.volume import Volume

AFFINE = np.array([[0, -2.0, 0, 10], [0, 0, 3.0, -20], [1.5, 0, 0, 30], [0, 0, 0, 1]])
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
RGBA = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])


def numbers(*shape: int, dtype: Any = np.int16) -> NDArray[Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def saved(path: Path, array: NDArray[Any], **fields: Any) -> Path:
    """Write a file with nibabel, then change fields of its header."""
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return changed(path, **fields) if fields else path


def changed(path: Path, **fields: Any) -> Path:
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">i2", "i4", ">f4", "f8", "u4", "i8", "u8"])
def test_every_type_comes_in_native_byte_order(tmp_path: Path, name: str, dtype: str) -> None:
    array = numbers(2, 3, 4, dtype=dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    nib.save(nib.Nifti1Image(array, AFFINE, header, dtype=array.dtype), tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert volume.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(volume.array[0], array)
    np.testing.assert_array_equal(volume.affine, AFFINE)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_planes_are_read_on_request(tmp_path: Path, name: str) -> None:
    array = numbers(3, 4, 5, 2)
    source = open_source(saved(tmp_path / name, array))
    assert (source.grid.shape, source.channels, source.dtype) == ((3, 4, 5), 2, np.int16)
    np.testing.assert_array_equal(source.planes(1, 3), np.moveaxis(array, -1, 0)[..., 1:3])
    np.testing.assert_array_equal(source.planes(4, 9), np.moveaxis(array, -1, 0)[..., 4:])


def test_scale_gives_float32_as_nibabel_has_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(2, 3, 4), scl_slope=0.5, scl_inter=-3)
    volume = read_volume(path)
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume.array[0], nib.load(path).get_fdata())
    assert volume.array[0, 0, 0, 1] == -2.5


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "f4"])
def test_scaled_numbers_stay_as_they_are_stored(tmp_path: Path, name: str, dtype: str) -> None:
    array = numbers(2, 3, 4, 2, dtype=dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    nib.save(nib.Nifti1Image(array, AFFINE, header, dtype=array.dtype), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    header["scl_slope"], header["scl_inter"] = 0.1, -1024
    content[:348] = header.binaryblock
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found, expected = read_unscaled(tmp_path / name).array, read_volume(tmp_path / name).array
    assert isinstance(found, ScaledArray)
    assert found.stored.dtype.itemsize == np.dtype(dtype).itemsize
    assert found.dtype == expected.dtype == np.float32
    assert np.array_equal(np.asarray(found), expected)
    assert np.array_equal(np.asarray(found.T[1, ..., 0]), expected.T[1, ..., 0])


def test_scaled_numbers_that_overflow(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(2, 2, 2), scl_slope=1e38)
    with pytest.raises(
        InputError, match="expected a number in every voxel, found 4 of 8 that are NaN or infinite"
    ):
        read_unscaled(path)


def test_slope_zero_means_no_scale(tmp_path: Path) -> None:
    assert (
        read_volume(saved(tmp_path / "a.nii", numbers(2, 2, 2), scl_slope=0, scl_inter=7)).dtype
        == np.int16
    )


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 4), (1, 3, 4, 1)),
        ((3, 4, 5, 1, 1), (1, 3, 4, 5)),
        ((3, 4, 5, 1, 2), (2, 3, 4, 5)),
        ((3, 4, 1), (1, 3, 4, 1)),
    ],
)
def test_axes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert read_volume(saved(tmp_path / "a.nii.gz", numbers(*shape))).array.shape == expected


@pytest.mark.parametrize("dtype", [RGB, RGBA])
def test_colours_become_three_channels(
    tmp_path: Path, dtype: np.dtype[Any], caplog: pytest.LogCaptureFixture
) -> None:
    colors = np.zeros((2, 3, 4, 2), dtype)
    colors["G"][1, 2, 3, 1] = 7
    array = read_volume(saved(tmp_path / "a.nii", colors)).array
    assert array.shape == (6, 2, 3, 4)
    assert np.argwhere(array).tolist() == [[4, 1, 2, 3]]
    assert ("transparency" in caplog.text) == (dtype == RGBA)


def test_nifti_2_and_wrong_suffix(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(numbers(2, 3, 4), AFFINE), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array[0], numbers(2, 3, 4))


def test_without_form_codes_the_voxel_spacing_alone_counts(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(3, 3, 3), sform_code=0, qform_code=0)
    np.testing.assert_allclose(read_volume(path).affine, nib.load(path).affine)
    assert read_volume(path).spacing == (1.5, 2.0, 3.0)


@pytest.mark.parametrize("keep", [0, 100, 348, 360, -1])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated(tmp_path: Path, name: str, keep: int) -> None:
    path = saved(
        tmp_path / name, np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16)
    )
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a\.nii.*expected .* found .*"):
        read_volume(path)


def test_damaged_gzip_stream(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16)
    )
    content = bytearray(path.read_bytes())
    content[-6] ^= 255  # in the checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"found CRC check failed.*copy or download it again"):
        read_volume(path)


def test_header_promises_more_than_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(4, 4, 4), dim=[3, 400, 400, 400, 1, 1, 1, 1])
    with pytest.raises(
        InputError, match="expected 128000352 bytes as its header promises, found 480 bytes"
    ):
        open_source(path)
    packed = tmp_path / "a.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(
        InputError, match="expected 128000352 bytes as its header promises, found at most"
    ):
        open_source(packed)


def test_gzip_stream_that_ends_early(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(4, 4, 4), dim=[3, 4, 4, 5, 1, 1, 1, 1])
    packed = tmp_path / "a.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(
        InputError, match="expected 512 bytes as its header promises, found 480 bytes"
    ):
        read_volume(packed)


def padded(path: Path) -> Path:
    """Append 4 GB of zeros, which take no room on the disk but half a minute to read."""
    with path.open("r+b") as file:
        file.truncate(1 << 32)
    return path


def test_zeros_after_a_gzip_stream_are_not_read(tmp_path: Path) -> None:
    path = padded(saved(tmp_path / "a.nii.gz", numbers(4, 4, 4)))
    started = time.process_time()
    np.testing.assert_array_equal(read_volume(path).array[0], numbers(4, 4, 4))
    assert time.process_time() - started < 5


def test_zeros_after_a_gzip_stream_that_ends_early(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(4, 4, 4), dim=[3, 4, 4, 5, 1, 1, 1, 1])
    packed = tmp_path / "a.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    started = time.process_time()
    with pytest.raises(
        InputError, match="expected 512 bytes as its header promises, found 480 bytes"
    ):
        read_volume(padded(packed))
    packed.write_bytes(gzip.compress(path.read_bytes()[:300]))
    with pytest.raises(
        InputError,
        match=r"a\.nii\.gz: expected NIfTI in one file, found no NIfTI header at its start",
    ):
        open_source(padded(packed))
    assert time.process_time() - started < 5


def test_file_cut_after_it_was_opened(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(4, 4, 4))
    source = open_source(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(
        InputError, match="expected 480 bytes as its header promises, found 400 bytes"
    ):
        source.planes(0, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"datatype": 77}, "a damaged header"),
        ({"datatype": 1536, "bitpix": 128}, "a damaged header"),
        ({"dim": [3, 4, -4, 4, 1, 1, 1, 1]}, "found the shape 4 x -4 x 4"),
        ({"dim": [5, 2, 2, 2, 2, 4, 1, 1]}, "found the shape 2 x 2 x 2 x 2 x 4"),
        ({"dim": [1, 64, 1, 1, 1, 1, 1, 1]}, "found the shape 64"),
        ({"vox_offset": np.nan}, "a damaged header"),
        ({"scl_slope": 1, "scl_inter": np.inf}, "a damaged scl_slope or scl_inter"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 5}, "a qform that is not a rotation"),
        ({"magic": b"ni1"}, r"the header of a \.hdr and \.img pair"),
        ({"srow_x": 0, "srow_y": 0, "srow_z": 0}, "expected an affine that places every voxel"),
        ({"srow_x": np.nan}, "NaN or infinite numbers"),
        ({"vox_offset": 0}, r"voxels that begin inside the header \(vox_offset 0\)"),
        (
            {"sform_code": 0, "qform_code": 0, "pixdim": [1, 0, 0, 0, 1, 1, 1, 1]},
            "expected a header that gives the size of the voxels, found voxel edges of 0 x 0 x 0"
            " mm: it says nothing about size, position and orientation. Export the original scan",
        ),
        (
            {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 2, 0, 1, 1, 1, 1]},
            "voxel edges of 2 x 2 x 0 mm",
        ),
    ],
)
def test_damaged_headers(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = saved(tmp_path / "a.nii", numbers(4, 4, 4), **fields)
    with pytest.raises(InputError, match=message):
        read_volume(path)


def test_something_else_with_this_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"no header " * 100)
    with pytest.raises(InputError, match="found no NIfTI header at its start"):
        read_volume(tmp_path / "a.nii")


def test_complex_numbers(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"found complex numbers \(complex64\). Save the magnitude"
    ):
        open_source(saved(tmp_path / "a.nii", numbers(2, 2, 2, dtype=np.complex64)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite(tmp_path: Path, value: float) -> None:
    array = numbers(2, 3, 4, dtype=np.float32)
    array[0, 0, :2] = value
    with pytest.raises(
        InputError, match="expected a number in every voxel, found 2 of 24 that are NaN or infinite"
    ):
        read_volume(saved(tmp_path / "a.nii", array))


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_like_gives_codes_and_affine_to_the_last_bit(tmp_path: Path, name: str) -> None:
    scan = nib.Nifti1Image(numbers(3, 4, 5), None)
    turned = nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.1, 0.2, 0.3) * 0.7, [1.1, 2.2, 3.3]
    )
    scan.set_qform(turned, code=1)
    scan.set_sform(turned, code=4)
    scan.header["descrip"] = b"Name of a patient"
    nib.save(scan, tmp_path / "scan.nii.gz")
    volume = read_volume(tmp_path / "scan.nii.gz")
    write_labels(
        tmp_path / name,
        Volume(np.ones((1, 3, 4, 5), np.int64), volume.affine),
        like=tmp_path / "scan.nii.gz",
    )
    written = nib.load(tmp_path / name)
    before, after = nib.load(tmp_path / "scan.nii.gz").header, written.header
    for field in (
        "qform_code",
        "sform_code",
        "quatern_b",
        "qoffset_x",
        "srow_x",
        "srow_y",
        "srow_z",
        "pixdim",
    ):
        np.testing.assert_array_equal(before[field], after[field])
    assert written.get_data_dtype() == np.uint8
    assert bytes(after["descrip"]).strip(b"\0") == b""
    np.testing.assert_array_equal(read_volume(tmp_path / name).affine, volume.affine)


def test_like_on_another_grid_is_not_followed(tmp_path: Path) -> None:
    scan = saved(tmp_path / "scan.nii", numbers(3, 4, 5))
    write_labels(
        tmp_path / "out.nii", Volume(np.ones((1, 3, 4, 5), np.uint8), np.eye(4)), like=scan
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").affine, np.eye(4))


def test_like_in_nifti_2_gives_nifti_2(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(numbers(2, 2, 2), AFFINE / 3), tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    write_labels(tmp_path / "out.nii", volume, like=tmp_path / "scan.nii")
    assert isinstance(nib.load(tmp_path / "out.nii"), nib.Nifti2Image)
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").affine, volume.affine)


def test_long_axis_needs_nifti_2(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii.gz", Volume(np.zeros((1, 40000, 1, 1), np.uint8), np.eye(4)))
    assert read_header(tmp_path / "a.nii.gz")["sizeof_hdr"] == 540
    assert read_volume(tmp_path / "a.nii.gz").array.shape == (1, 40000, 1, 1)


def test_same_voxels_give_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume(numbers(2, 3, 4, 5), AFFINE)
    write_image(tmp_path / "a.nii.gz", volume)
    write_image(tmp_path / "b.nii.gz", volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    np.testing.assert_array_equal(
        nib.load(tmp_path / "a.nii.gz").get_fdata(), np.moveaxis(volume.array, 0, -1)
    )


def test_nibabel_image_in_memory() -> None:
    volume = from_object(nib.Nifti1Image(numbers(2, 3, 4, 5), AFFINE))
    assert volume.array.shape == (5, 2, 3, 4)
    np.testing.assert_array_equal(volume.array[3], numbers(2, 3, 4, 5)[..., 3])
    colors = np.zeros((2, 3, 4), RGB)
    colors["B"] = 9
    assert from_object(nib.Nifti1Image(colors, AFFINE)).array.reshape(3, -1).max(
        axis=1
    ).tolist() == [0, 0, 9]
    with pytest.raises(InputError, match="nibabel image: expected a number in every voxel"):
        from_object(nib.Nifti1Image(np.full((2, 2, 2), np.nan), AFFINE))


def test_nibabel_image_that_cannot_be_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", numbers(9, 9, 9))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        InputError, match="nibabel image: expected voxels that nibabel can read, found"
    ):
        from_object(nib.load(path))


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e3), ("meter", 1e-3)])
def test_unit_of_the_header(unit: str, factor: float, tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3] *= factor
    image = nib.Nifti1Image(numbers(2, 2, 2), affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(from_object(image).affine, AFFINE, rtol=1e-6)
    write_labels(tmp_path / "b.nii", read_volume(tmp_path / "a.nii"), like=tmp_path / "a.nii")
    written = nib.load(tmp_path / "b.nii")
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "a.nii").affine)
    assert written.header.get_xyzt_units()[0] == unit


def test_impossible_meters_are_read_as_mm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = nib.Nifti1Image(numbers(2, 2, 2), AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").affine, AFFINE)
    assert (
        "a.nii: its header gives lengths in meters, which is impossible for voxels of that size"
        in caplog.text
    )


def test_label_maps_are_marked_as_such(tmp_path: Path) -> None:
    labels = Volume(np.ones((1, 2, 2, 2), np.uint8), np.eye(4))
    write_labels(tmp_path / "a.nii.gz", labels)
    write_image(tmp_path / "b.nii.gz", labels)
    codes = [
        int(nib.load(tmp_path / name).header["intent_code"]) for name in ("a.nii.gz", "b.nii.gz")
    ]
    assert codes == [1002, 0]


def test_flat_scan_gets_a_flat_label_map(tmp_path: Path) -> None:
    for shape, kept in (((3, 4), (3, 4)), ((3, 4, 1), (3, 4, 1)), ((3, 4, 1, 1), (3, 4, 1))):
        scan = saved(tmp_path / "scan.nii", numbers(*shape))
        volume = read_volume(scan)
        write_labels(
            tmp_path / "out.nii", volume.with_array(np.ones((1, 3, 4, 1), np.uint8)), like=scan
        )
        assert nib.load(tmp_path / "out.nii").shape == kept
        np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").affine, volume.affine)


def test_an_edge_of_zero_along_a_single_slice_is_1_mm(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 3, 0, 1, 1, 1, 1]}
    for shape in ((4, 4), (4, 4, 1)):
        assert read_volume(saved(tmp_path / "a.nii", numbers(*shape), **fields)).spacing == (
            2,
            3,
            1,
        )


def test_a_flat_label_map_keeps_the_edge_of_the_axis_it_does_not_have(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 3, 5, 1, 1, 1, 1]}
    scan = saved(tmp_path / "scan.nii", numbers(3, 4), **fields)
    volume = read_volume(scan)
    assert volume.spacing == (2, 3, 5)
    write_labels(
        tmp_path / "out.nii", volume.with_array(np.ones((1, 3, 4, 1), np.uint8)), like=scan
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").affine, volume.affine)


def test_nibabel_image_without_an_affine() -> None:
    with pytest.raises(
        InputError, match="nibabel image: expected an affine that places every voxel, found none"
    ):
        from_object(nib.Nifti1Image(numbers(2, 2, 2), None))
