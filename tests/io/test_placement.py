from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io import place_on_grid, read_case, read_labels, read_volume, write_image, write_labels
from segkit.io.placement import Placement, find_placement
from segkit.volume import Grid, Volume

SHAPE = (4, 5, 6)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
AFFINE[:3, 3] = -7, 8, 9


def labels() -> NDArray[np.uint8]:
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 2:4, 1:5] = np.arange(1, 17).reshape(2, 2, 4)
    return array


def turned(array: NDArray[np.uint8], order: tuple[int, int, int], flips: tuple[int, ...]) -> Volume:
    """Return the voxels at the same position with their axes in another order, some reversed."""
    stored = np.flip(array.transpose(order), flips)
    affine = AFFINE[:, [*order, 3]].copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(stored[None], affine)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(), (0,), (0, 1), (0, 1, 2)])
def test_other_order_of_voxels(order: tuple[int, int, int], flips: tuple[int, ...]) -> None:
    found = place_on_grid(
        turned(labels(), order, flips), Grid(SHAPE, AFFINE), "l.nrrd", padded=False
    )
    np.testing.assert_array_equal(found.array[0], labels())
    np.testing.assert_array_equal(found.affine, AFFINE)


def test_crop_is_padded_with_zeros(caplog: pytest.LogCaptureFixture) -> None:
    affine = AFFINE.copy()
    affine[:3, 3] += 2, 3, 4
    found = place_on_grid(
        Volume(labels()[None, 1:3, 1:4, 1:5], affine), Grid(SHAPE, AFFINE), "crop.nrrd"
    )
    np.testing.assert_array_equal(found.array[0], labels())
    assert "crop.nrrd: the label map covers 2 x 3 x 4 of 4 x 5 x 6 voxels" in caplog.text


def test_larger_label_map_is_cropped_where_nothing_is_lost() -> None:
    affine = AFFINE.copy()
    affine[:3, 3] -= 2, 3, 4
    wide = np.pad(labels(), 1)
    found = place_on_grid(Volume(wide[None], affine), Grid(SHAPE, AFFINE), "l.nrrd")
    np.testing.assert_array_equal(found.array[0], labels())
    wide[0, 0, 0] = 1
    with pytest.raises(InputError, match="1 labeled voxels outside it, though on the same lattice"):
        place_on_grid(Volume(wide[None], affine), Grid(SHAPE, AFFINE), "l.nrrd")


def test_a_common_first_voxel_alone_is_no_crop() -> None:
    """Scans of two patients may both begin at 0, 0, 0."""
    with pytest.raises(
        InputError, match=r"another grid: 4 x 5 x 5 voxels .* if this is it and it was cropped, pad"
    ):
        place_on_grid(Volume(labels()[None, ..., :5], AFFINE), Grid(SHAPE, AFFINE), "l.nrrd")


def test_voxels_between_those_of_the_scan() -> None:
    affine = AFFINE.copy()
    affine[0, 3] += 1
    assert find_placement(Grid(SHAPE, AFFINE), Grid(SHAPE, affine)) is None
    with pytest.raises(
        InputError,
        match=r"corners up to 1 mm apart\. If the label map belongs to the scan voxel for voxel, "
        r"save it again with the header of the scan \(docs/troubleshooting\.md shows how\)",
    ):
        place_on_grid(Volume(labels()[None], affine), Grid(SHAPE, AFFINE), "l.nrrd")
    with pytest.raises(InputError, match="Resample the label map to the scan"):
        place_on_grid(
            Volume(labels()[None, ::2], AFFINE @ np.diag([2.0, 1, 1, 1])),
            Grid(SHAPE, AFFINE),
            "l.nrrd",
        )


def test_channel_that_does_not_cover_the_scan() -> None:
    affine = AFFINE.copy()
    affine[2, 3] += 4
    with pytest.raises(InputError, match="expected a channel on the grid"):
        place_on_grid(
            Volume(labels()[None, ..., 1:], affine),
            Grid(SHAPE, AFFINE),
            "t2.nrrd",
            what="channel",
            padded=False,
        )


def scan_of(
    path: Path, qform: tuple[NDArray[np.float64], int], sform: tuple[NDArray[np.float64], int]
) -> Path:
    image = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(SHAPE), None)
    image.set_qform(*qform)
    image.set_sform(*sform)
    image.header["qform_code"], image.header["sform_code"] = qform[1], sform[1]
    nib.save(image, path)
    return path


def moved(millimeters: float) -> NDArray[np.float64]:
    affine = AFFINE.copy()
    affine[0, 3] += millimeters
    return affine


@pytest.mark.parametrize(
    ("qform", "sform", "read"),
    [
        ((AFFINE, 0), (AFFINE, 0), np.diag([-2.0, -3, 4, 1])),
        ((AFFINE, 1), (moved(12), 4), AFFINE),
        ((AFFINE, 0), (AFFINE @ np.diag([1.1, 1.1, 1.1, 1]), 4), AFFINE),
    ],
)
def test_label_map_of_a_program_that_reads_the_header_differently(
    qform: tuple[NDArray[np.float64], int],
    sform: tuple[NDArray[np.float64], int],
    read: NDArray[np.float64],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scan = scan_of(tmp_path / "scan.nii", qform, sform)
    nib.save(nib.Nifti1Image(labels(), read), tmp_path / "labels.nii")
    for _ in range(2):
        found = place_on_grid(
            read_labels(tmp_path / "labels.nii"),
            read_volume(scan).grid,
            tmp_path / "labels.nii",
            scan=scan,
        )
    np.testing.assert_array_equal(found.array[0], labels())
    np.testing.assert_array_equal(found.affine, read_volume(scan).affine)
    assert len(caplog.records) == 1
    assert "this label map and the scan are taken voxel for voxel" in caplog.text


def test_the_label_map_may_be_the_one_with_two_readings(tmp_path: Path) -> None:
    path = scan_of(tmp_path / "labels.nii", (AFFINE, 1), (moved(12), 2))
    found = place_on_grid(read_labels(path), Grid(SHAPE, AFFINE), path)
    np.testing.assert_array_equal(found.affine, AFFINE)


def test_a_disagreement_that_explains_nothing_is_named(tmp_path: Path) -> None:
    scan = scan_of(tmp_path / "scan.nii", (AFFINE, 1), (moved(12), 2))
    with pytest.raises(InputError, match=r"apart \(qform and sform of scan\.nii are 12 mm apart\)"):
        place_on_grid(
            Volume(labels()[None], moved(5)), read_volume(scan).grid, "labels.nrrd", scan=scan
        )


def test_channels_of_one_case(tmp_path: Path) -> None:
    reversed_axis = turned(labels(), (0, 1, 2), (0,))
    nib.save(nib.Nifti1Image(labels(), AFFINE), tmp_path / "t1.nii")
    nib.save(nib.Nifti1Image(reversed_axis.array[0], reversed_axis.affine), tmp_path / "t2.nii")
    first, second = read_case([tmp_path / "t1.nii", tmp_path / "t2.nii"]).array
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_label_map_in_a_format_of_itk_lies_on_the_scan_there(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The two positions were 18.3 mm apart."""
    scan = scan_of(tmp_path / "scan.nii.gz", (AFFINE, 1), (moved(12), 4))
    volume = read_volume(scan)
    write_labels(tmp_path / f"out{suffix}", volume.with_array(labels()[None]), like=scan)
    write_image(
        tmp_path / f"uncertainty{suffix}",
        volume.with_array(labels()[None] / np.float32(99)),
        like=scan,
    )
    theirs = sitk.ReadImage(str(scan))
    for name in ("out", "uncertainty"):
        ours = sitk.ReadImage(str(tmp_path / f"{name}{suffix}"))
        for corner in ((0, 0, 0), (3, 4, 5), (3, 0, 5)):
            place = ours.TransformIndexToPhysicalPoint(corner)
            np.testing.assert_allclose(
                place, theirs.TransformIndexToPhysicalPoint(corner), atol=1e-4
            )
    assert "12 mm from where nibabel puts it" in caplog.text
    found = place_on_grid(
        read_labels(tmp_path / f"out{suffix}"), volume.grid, tmp_path / f"out{suffix}", scan=scan
    )
    np.testing.assert_array_equal(found.array[0], labels())


def test_a_usual_scan_is_not_moved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = scan_of(tmp_path / "scan.nii.gz", (AFFINE, 1), (AFFINE, 1))
    write_labels(tmp_path / "out.nrrd", read_volume(scan).with_array(labels()[None]), like=scan)
    np.testing.assert_allclose(read_labels(tmp_path / "out.nrrd").affine, AFFINE, atol=1e-6)
    assert not caplog.records


@pytest.mark.parametrize("shift", [(2, 0, 0), (0, 3, 4)])
def test_the_same_size_in_another_place_is_no_crop(shift: tuple[int, int, int]) -> None:
    affine = AFFINE.copy()
    affine[:3, 3] += np.array(shift)
    with pytest.raises(InputError, match="the same shape in another place"):
        place_on_grid(
            Volume(np.zeros((1, *SHAPE), np.uint8), affine), Grid(SHAPE, AFFINE), "l.nrrd"
        )


def test_a_grid_that_extends_beyond_the_scan_is_no_crop() -> None:
    affine = AFFINE.copy()
    affine[0, 3] += 2 * 2
    with pytest.raises(InputError, match="another grid: 3 x 5 x 6"):
        place_on_grid(
            Volume(np.zeros((1, 3, 5, 6), np.uint8), affine), Grid(SHAPE, AFFINE), "l.nrrd"
        )


@pytest.mark.parametrize(
    ("start", "size", "crop"),
    [
        ((1, 2, 3), (2, 2, 2), True),
        ((0, 0, 4), (4, 5, 2), True),
        ((-1, 0, -2), (9, 5, 8), True),
        ((-1, 0, 1), (5, 5, 2), True),
        ((0, 0, 0), (4, 5, 6), True),
        ((0, 0, 0), (4, 5, 3), False),
        ((-1, 0, 0), (3, 5, 6), False),
        ((1, 1, 0), (2, 5, 6), False),
    ],
)
def test_what_counts_as_a_crop(
    start: tuple[int, int, int], size: tuple[int, int, int], crop: bool
) -> None:
    assert Placement((0, 1, 2), (False, False, False), start).is_crop(size, SHAPE) is crop
