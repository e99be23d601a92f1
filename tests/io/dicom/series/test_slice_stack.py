"""Slices are sorted into a volume with the right affine; other stacks are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io import open_source, read_volume
from segkit.io.dicom import open_dicom

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
ANGLE = st.floats(-3.1, 3.1)
EDGE = st.floats(0.3, 9)
RAS = np.diag([-1, -1, 1, 1])


def affine(axes: NDArray[Any], origin: tuple[float, ...]) -> NDArray[Any]:
    return RAS @ nib.affines.from_matvec(axes, origin)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    angles=st.tuples(ANGLE, ANGLE, ANGLE),
    spacing=st.tuples(EDGE, EDGE, EDGE),
    lean=st.sampled_from([0.0, 0.3]),
    names=st.permutations(range(4)),
)
def test_affine_and_voxels_are_restored(
    dicom: Any, tmp_path: Path, angles: Any, spacing: Any, lean: float, names: list[int]
) -> None:
    """Any direction and spacing, files in any order, with and without a tilted gantry."""
    axes = nib.eulerangles.euler2mat(*angles) * spacing
    axes[:, 2] += lean * axes[:, 1]
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    volume = read_volume(
        dicom.series(tmp_path / "s", VOXELS, axes=axes, origin=(-12.5, 40.25, 7), names=names)
    )
    np.testing.assert_array_equal(volume.array[0], VOXELS)
    np.testing.assert_allclose(volume.affine, affine(axes, (-12.5, 40.25, 7)), atol=1e-4)


def test_positions_count_more_than_numbers_and_thickness(dicom: Any, tmp_path: Path) -> None:
    """InstanceNumber runs against the position; slices are 5 mm thick and 2.5 mm apart."""
    thick = {"SliceThickness": 5, "SpacingBetweenSlices": 5}
    axes, names = np.diag([1, 1, 2.5]), [3, 2, 1, 0]
    volume = read_volume(dicom.series(tmp_path / "s", VOXELS, axes=axes, names=names, **thick))
    np.testing.assert_array_equal(volume.array[0], VOXELS)
    assert volume.spacing == (1, 1, 2.5)


def test_slices_against_the_normal_are_reversed(dicom: Any, tmp_path: Path) -> None:
    volume = read_volume(dicom.series(tmp_path / "s", VOXELS, axes=np.diag([1, 1, -2.0])))
    np.testing.assert_array_equal(volume.array[0], VOXELS[..., ::-1])
    np.testing.assert_allclose(volume.affine, affine(np.diag([1, 1, 2.0]), (0, 0, -6)), atol=1e-6)


def test_directions_are_those_of_the_first_file(dicom: Any, tmp_path: Path) -> None:
    """Directions that differ by less than 0.06 degrees are one: that of the first file counts."""
    scan = dicom.series(tmp_path / "s", VOXELS, names=[3, 2, 1, 0])
    last = dicom.pydicom.dcmread(scan / "000")
    last.ImageOrientationPatient = [1, 0.0005, 0, -0.0005, 1, 0]
    last.save_as(scan / "000")
    expected = np.diag([-1.0, -1, 1, 1])
    expected[:2, :2] = [[-1, 0.0005], [-0.0005, -1]]
    np.testing.assert_allclose(read_volume(scan).affine, expected, atol=1e-6)


def test_thickness_of_a_single_slice(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "one.dcm", VOXELS[..., 0].T.copy(), SliceThickness=3)
    assert open_source(scan).grid.spacing == (1, 1, 3)


def test_enhanced_file(dicom: Any, tmp_path: Path) -> None:
    """Frames run from last to first; each has its position and slope, and the rest is shared."""
    groups = []
    for place in (3, 2, 1, 0):
        group, position, values = (dicom.pydicom.Dataset() for _ in range(3))
        position.ImagePositionPatient, values.RescaleSlope, values.RescaleIntercept = (
            [0, 0, 5 * place],
            place + 1,
            1,
        )
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [values]
        groups.append(group)
    shared, directions, measures = (dicom.pydicom.Dataset() for _ in range(3))
    directions.ImageOrientationPatient, measures.PixelSpacing = [0, 1, 0, 1, 0, 0], [2, 3]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [directions], [measures]
    frames = np.ones((4, 3, 2), np.int16) * 10
    top = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    sequences = {
        "PerFrameFunctionalGroupsSequence": groups,
        "SharedFunctionalGroupsSequence": [shared],
    }
    volume = read_volume(dicom.file(tmp_path / "e", frames, **top, **sequences))
    # Rows point to posterior and columns to the left, so the normal points down:
    # the first slice lies at 15 mm.
    assert volume.array[0, 0, 0].tolist() == [41, 31, 21, 11]
    expected = np.array([[0, -2, 0, 0], [-3, 0, 0, 0], [0, 0, -5, 15], [0, 0, 0, 1]])
    np.testing.assert_allclose(volume.affine, expected, atol=1e-6)


def test_copies_of_a_file_are_left_out(
    dicom: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    shutil.copy(tmp_path / "s" / "001", tmp_path / "s" / "001 copy")
    assert read_volume(tmp_path / "s").grid.shape == (2, 3, 4)
    assert "1 of 5 files are copies of others" in caplog.text


def test_a_series_that_was_sent_twice_is_refused(dicom: Any, tmp_path: Path) -> None:
    """The second copy has other SOPInstanceUIDs."""
    dicom.series(tmp_path / "s", VOXELS)
    dicom.series(tmp_path / "s", VOXELS, names=[10, 11, 12, 13])
    with pytest.raises(
        InputError, match=r"8 images at 4 position\(s\), 2 of them at 0 mm .* \(000, 010\)"
    ):
        open_source(tmp_path / "s")


def test_a_small_unevenness_is_reported(
    dicom: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    dicom.file(
        tmp_path / "s" / "001", VOXELS[..., 1].T.copy(), number=2, ImagePositionPatient=[0, 0, 1.03]
    )
    assert read_volume(tmp_path / "s").spacing == (1, 1, 1)
    assert "slices lie up to 0.03 mm away from their position" in caplog.text


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "missing": (
        {"ImagePositionPatient": [0, 0, 5]},
        r"missing slices: 2 at 3, 4 mm .*, between 002 and 003",
    ),
    "gaps": ({"ImagePositionPatient": [0, 0, 3.4]}, r"distances from 1 to 1\.4 mm, usually 1"),
    "aside": (
        {"ImagePositionPatient": [0.4, 0, 3]},
        r"slices that lie up to 0\.\d+ mm away from a straight line",
    ),
    "same": (
        {"ImagePositionPatient": [0, 0, 2]},
        r"4 images at 3 position\(s\), 2 of them at 2 mm .* \(002, 003\)",
    ),
    "turned": (
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]},
        r"2 groups .* differ in direction\..*\n.*direction=1 ",
    ),
    "spacing": (
        {"PixelSpacing": [1, 2]},
        r"2 groups of images in series 1 that differ in PixelSpacing\.",
    ),
    "no place": (
        {"ImagePositionPatient": None},
        r"for every image, found 4 images of 4 file\(s\), some without",
    ),
    "no unit": (
        {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
        r"two unit vectors .* found 2 0 0 0 1 0",
    ),
    "edge": ({"PixelSpacing": [0, 1]}, r"two distances above 0 mm in PixelSpacing, found 0 and 1"),
    "count": (
        {"ImagePositionPatient": [0, 3]},
        r"3 numbers in ImagePositionPatient, found \[0\.0, 3\.0\]",
    ),
}


@pytest.mark.parametrize(("elements", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(dicom: Any, tmp_path: Path, elements: dict[str, Any], message: str) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    own = {"ImagePositionPatient": [0, 0, 3]} | elements
    dicom.file(tmp_path / "s" / "003", VOXELS[..., 3].T.copy(), number=4, **own)
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / "s")


def test_other_size(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    dicom.file(
        tmp_path / "s" / "003", np.zeros((5, 5), np.int16), number=4, ImagePositionPatient=[0, 0, 3]
    )
    with pytest.raises(
        InputError, match=r"differ in size\..*\n  --series 1:size=2x3  3 images such as 000\n"
    ):
        open_source(tmp_path / "s")


WAIVED: dict[str, tuple[dict[str, Any], str]] = {
    "direction": (
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]},
        r"found 2: 3 image\(s\) such as 000 along \(0 ",
    ),
    "spacing": (
        {"PixelSpacing": [1, 2]},
        r"images of one PixelSpacing, found 3 of 1\.0 x 1\.0, 1 of 1\.0 x 2\.0",
    ),
}


@pytest.mark.parametrize(
    ("word", "elements", "message"), [(word, *each) for word, each in WAIVED.items()], ids=WAIVED
)
def test_geometry_cannot_be_ignored(
    dicom: Any, tmp_path: Path, word: str, elements: dict[str, Any], message: str
) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    own = {"ImagePositionPatient": [0, 0, 3]} | elements
    dicom.file(tmp_path / "s" / "003", VOXELS[..., 3].T.copy(), number=4, **own)
    with pytest.raises(InputError, match=message):
        open_dicom(tmp_path / "s", f"{word}=any")


def test_position_without_spacing(dicom: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected PixelSpacing, found none"):
        open_source(dicom.series(tmp_path / "s", VOXELS, PixelSpacing=None))


def test_film(dicom: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="expected 4 frames with a position in PerFrameFunctionalGroupsSequence, found 0",
    ):
        open_source(dicom.file(tmp_path / "a", np.zeros((4, 3, 2), np.int16)))


def test_picture_without_position(dicom: Any, tmp_path: Path) -> None:
    top = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    scan = dicom.file(tmp_path / "a", VOXELS[..., 0].T.copy(), PixelSpacing=None, **top)
    assert open_source(scan).grid.unit == "px"
    scan = dicom.file(tmp_path / "a", VOXELS[..., 0].T.copy(), PixelSpacing=[0.1, 0.2], **top)
    assert open_source(scan).grid.spacing == (0.2, 0.1, 1)
