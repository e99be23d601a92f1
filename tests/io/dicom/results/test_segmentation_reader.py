"""DICOM-SEG is read onto the grid of a label map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Grid, Volume

hd = pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")

AXES = nib.eulerangles.euler2mat(0.3, -0.2, 0.9) * (0.7, 0.9, 2.5)
NAMES = {"left_kidney": (5,), "thing": (300,)}
FLIPPED = np.array([[-1, 0, 0, 7], [0, 0, -1, 5], [0, 1, 0, 0], [0, 0, 0, 1.0]])
"""Axes X, Z, Y of the images, X and Y reversed."""


@pytest.fixture
def source(dicom: Any, tmp_path: Path) -> Any:
    return open_dicom(
        dicom.series(
            tmp_path / "s", np.zeros((8, 6, 5), np.int16), axes=AXES, origin=(-20, 31.5, 4)
        )
    )


def labels_on(grid: Grid) -> Volume:
    labels = np.zeros((1, *grid.shape), np.int16)
    labels[0, 1:4, 2:4, 1:3], labels[0, 5, 1, 3] = 5, 300
    return Volume(labels, grid.affine)


def written(source: Any, folder: Path, segments: Any = NAMES, *, labelmap: bool = False) -> Path:
    algorithm = dicom_module("results.references").Algorithm("model", "abc123", "0.1.0")
    write = dicom_module("results.segmentation_writer").write_segmentation
    write(
        folder / "o.dcm",
        labels_on(source.grid),
        source,
        segments,
        algorithm=algorithm,
        labelmap=labelmap,
    )
    return folder / "o.dcm"


def read(path: Path, grid: Grid, known: Any = None) -> Any:
    return dicom_module("results.segmentation_reader").read_segments(
        path, grid, known or {}, grid_name="r.nii"
    )


@pytest.mark.parametrize("labelmap", [False, True])
def test_values_written_by_segkit_are_read_back(
    source: Any, tmp_path: Path, labelmap: bool
) -> None:
    found = read(written(source, tmp_path, labelmap=labelmap), source.grid)
    assert np.array_equal(found.labels.array, labels_on(source.grid).array)
    assert found.names == {"left_kidney": 5, "thing": 300}


def test_another_order_and_direction_of_axes(source: Any, tmp_path: Path) -> None:
    path = written(source, tmp_path)
    expected = labels_on(source.grid).array[0].transpose(0, 2, 1)[::-1, :, ::-1]
    found = read(path, Grid(expected.shape, source.grid.affine @ FLIPPED)).labels
    assert np.array_equal(found.array[0], expected)


def test_a_grid_that_reaches_further(source: Any, tmp_path: Path) -> None:
    affine = source.grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ (3, 0, 2)
    found = read(written(source, tmp_path), Grid((12, 7, 8), affine)).labels.array[0]
    expected = np.zeros((12, 7, 8))
    expected[3:11, :6, 2:7] = labels_on(source.grid).array[0]
    assert np.array_equal(found, expected)


def test_values_by_the_names_of_the_reference(source: Any, tmp_path: Path) -> None:
    found = read(written(source, tmp_path), source.grid, {"thing": 2, "liver": 1})
    assert found.names == {"left_kidney": 5, "thing": 2}
    assert sorted(np.unique(found.labels.array)) == [0, 2, 5]


def test_segment_numbers_are_the_values_of_other_vendors(
    dicom: Any, source: Any, tmp_path: Path
) -> None:
    path = written(source, tmp_path)
    content = dicom.pydicom.dcmread(path)
    content.Manufacturer = "somebody"
    content.save_as(path)
    assert read(path, source.grid).names == {"left_kidney": 1, "thing": 2}
    assert read(path, source.grid, {"left_kidney": 2}).names == {"left_kidney": 2, "thing": 3}
    content.SegmentSequence[1].SegmentLabel = "Segment_2"
    content.save_as(path)
    with pytest.raises(
        InputError,
        match="a different value for each segment, found 2 for left_kidney and for Segm",
    ):
        read(path, source.grid, {"left_kidney": 2})


def test_regions_may_overlap(source: Any, tmp_path: Path) -> None:
    path = written(source, tmp_path, {"core": (300,), "whole": (5, 300)})
    known = {"whole": (5, 300), "core": (300,)}
    found = read(path, source.grid, known)
    assert np.array_equal(found.labels.array, labels_on(source.grid).array)
    with pytest.raises(
        InputError, match=r"segments that do not overlap, .* found 'whole' over another one"
    ):
        read(path, source.grid)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            np.diag([1, 1, 1, 1.0]) + np.eye(4, k=3) * 0.2,
            "corners up to 0.14 mm away from them, for o.dcm frame 1",
        ),
        (np.diag([0.5, 1, 1, 1]), "pixels of 0.9 x 0.7 mm, or rows in another direction"),
        (
            np.block([[nib.eulerangles.euler2mat(0.6), np.zeros((3, 1))], [0, 0, 0, 1]]),
            "pixels of 0.9 x 0.7 mm, or rows in",
        ),
        (np.diag([1, 1, 1, 1.0]) + np.eye(4, k=3) * 2, "a position that is partly outside of it"),
    ],
)
def test_frames_off_the_grid(source: Any, tmp_path: Path, change: Any, found: str) -> None:
    grid = Grid(source.grid.shape, source.grid.affine @ change)
    with pytest.raises(
        InputError, match=rf"o.dcm: expected frames that lie on the voxels of r.nii, found {found}"
    ):
        read(written(source, tmp_path), grid)


def test_a_picture_has_no_position(source: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no position in mm, for o.dcm frame 1"):
        read(written(source, tmp_path), Grid((8, 6, 1), np.eye(4), "px"))


def test_other_dicom(dicom: Any, source: Any, tmp_path: Path) -> None:
    image = source.series.instances[0].file.path
    with pytest.raises(
        InputError, match=r"the kind BINARY or LABELMAP, found DICOM of the modality CT"
    ):
        read(image, source.grid)
    path = written(source, tmp_path)
    content = dicom.pydicom.dcmread(path)
    content.SegmentationType = "FRACTIONAL"
    content.save_as(path)
    with pytest.raises(InputError, match="found the kind FRACTIONAL"):
        read(path, source.grid)


def test_damage(source: Any, tmp_path: Path) -> None:
    path = written(source, tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"o.dcm: expected DICOM that follows its standard"):
        read(path, source.grid)


@pytest.mark.parametrize("labelmap", [False, True])
def test_frames_that_do_not_fill_whole_bytes(dicom: Any, tmp_path: Path, labelmap: bool) -> None:
    """Frames of 7 x 5 pixels have 35 bits: the second one begins in the middle of a byte."""
    odd = open_dicom(dicom.series(tmp_path / "odd", np.zeros((7, 5, 5), np.int16), axes=AXES))
    found = read(written(odd, tmp_path, labelmap=labelmap), odd.grid)
    assert np.array_equal(found.labels.array, labels_on(odd.grid).array)
