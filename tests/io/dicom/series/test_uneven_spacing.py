"""Scans of two slice thicknesses: the network sees even planes, results the source's planes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Volume


def stack(
    dicom: Any, folder: Path, heights: list[float], *, lean: float = 0.0, **tags: list[Any]
) -> Path:
    """Write a slice of 5 x 3 pixels at each height, whose value is ten times its height.

    ``tags`` have one value for each slice.
    """
    for place, height in enumerate(heights):
        own = {"ImagePositionPatient": [0, lean * height, height]}
        own |= {keyword: values[place] for keyword, values in tags.items()}
        number = own.pop("InstanceNumber", place + 1)
        path = dicom.file(
            folder / f"{place:03d}",
            np.full((3, 5), round(10 * height), np.int16),
            number=number,
            **own,
        )
    return path.parent


def test_two_thicknesses_become_even_planes(dicom: Any, tmp_path: Path) -> None:
    """Steps of 1 mm, then of 4 mm: planes are 1 mm apart, linear between the thick slices."""
    volume = read_volume(stack(dicom, tmp_path / "s", [0, 1, 2, 3, 7, 11, 15]))
    assert volume.grid.shape == (5, 3, 16)
    np.testing.assert_allclose(volume.affine, np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert volume.array.dtype.kind in "iu"
    assert volume.array[0, 1, 1].tolist() == list(range(0, 160, 10))


def test_headers_of_one_thickness_are_reported(
    dicom: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If every second of six slices is lost and the rest renumbered, it looks like a thickness."""
    heights = [0.0, 1, 2, 3, 5, 7, 9]
    open_dicom(stack(dicom, tmp_path / "two", heights, SliceThickness=[1, 1, 1, 1, 2, 2, 2]))
    assert not caplog.text
    open_dicom(stack(dicom, tmp_path / "one", heights, SliceThickness=[1] * 7))
    assert (
        "slices lie 1 to 2 mm apart, but all are 1 mm thick according to their headers: "
        in caplog.text
    )


def test_finer_planes_if_slices_lie_between(dicom: Any, tmp_path: Path) -> None:
    """Steps of 3, 5 and 7 mm have planes of 1 mm in common."""
    source = open_dicom(stack(dicom, tmp_path / "s", [0, 3, 6, 9, 14, 21, 28, 35]))
    assert source.grid.shape[2] == 36
    assert source.stack.slice_positions.tolist() == [0, 3, 6, 9, 14, 21, 28, 35]


def test_slices_that_lie_on_no_plane(dicom: Any, tmp_path: Path) -> None:
    source = open_dicom(stack(dicom, tmp_path / "s", [0, 1, 2, 3, 4.37, 9.37, 14.37, 19.37]))
    step = source.grid.spacing[2]
    off = np.abs(source.stack.slice_positions - np.rint(source.stack.slice_positions))
    assert step <= 1
    assert off.max() * step < 0.13
    labels = np.zeros(source.grid.shape, np.uint8)
    labels[..., round(9.37 / step)] = 1
    assert source.on_slices(labels)[0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


TILT = np.tan(np.radians(20))


def test_tilted_gantry(dicom: Any, tmp_path: Path) -> None:
    """The planes are tilted like the slices: y rises by 0.36 mm per mm of height in LPS."""
    volume = read_volume(stack(dicom, tmp_path / "s", [0, 1, 2, 3, 7, 11, 15], lean=TILT))
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -TILT, 1], atol=1e-6)
    assert volume.array[0, 1, 1].tolist() == list(range(0, 160, 10))


REGULAR = [float(height) for height in range(12)]
MISSING: dict[str, tuple[list[float], dict[str, list[Any]], str]] = {
    "one of many": (
        REGULAR[:5] + REGULAR[6:],
        {},
        "missing slices: 1 at 5 mm .*between 004 and 005",
    ),
    "every second of three": (
        [*REGULAR[:5], 6.0, 8.0, *REGULAR[9:]],
        {},
        "missing slices: 1 at 5 mm .*1 at 7 mm",
    ),
    "in the thick block": ([0, 1, 2, 3, 7, 11, 19, 23, 27, 31], {}, "missing slices: 1 at 15 mm"),
    "in the thin block": ([0, 1, 2, 4, 5, 6, 10, 14, 18], {}, "missing slices: 1 at 3 mm"),
    "two wide steps at the end": ([0, 1, 2, 3, 7, 11], {}, "missing slices: 3 at 4, 5, 6 mm"),
    "numbers jump in the wide block": (
        [0, 1, 2, 3, 5, 7, 9, 11],
        {"InstanceNumber": [1, 2, 3, 4, 6, 8, 10, 12]},
        "missing slices: 1 at 4 mm",
    ),
    "a number is skipped where thicknesses change": (
        [0, 1, 2, 3, 5, 9, 13, 17],
        {"InstanceNumber": [1, 2, 3, 4, 6, 7, 8, 9]},
        "missing slices: 1 at 4 mm",
    ),
    "numbers jump between thin and thick": (
        [0, 1, 2, 3, 5, 7, 9, 14, 19, 24],
        {"InstanceNumber": [1, 2, 3, 4, 6, 8, 10, 11, 12, 13]},
        "missing slices: 1 at 4 mm",
    ),
    "one thickness, overlapping": (
        REGULAR[:5] + REGULAR[6:],
        {"SliceThickness": [2.0] * 11},
        "missing slices",
    ),
    "uneven": ([0, 1, 2, 3, 4.5, 5.5, 6.5], {}, r"distances from 1 to 1\.5 mm"),
}


@pytest.mark.parametrize(("heights", "tags", "message"), MISSING.values(), ids=MISSING)
def test_missing_slices_stay_refused(
    dicom: Any, tmp_path: Path, heights: list[float], tags: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_dicom(stack(dicom, tmp_path / "s", heights, **tags))


DESIGNED: dict[str, tuple[list[float], dict[str, list[Any]]]] = {
    "thick between thin": ([0, 1, 2, 3, 8, 13, 18, 19, 20, 21], {}),
    "a step between the two": ([0, 2, 4, 6, 9.5, 14.5, 19.5, 24.5], {}),
    "the blocks overlap": ([0, 1, 2, 3, 3.4, 7.4, 11.4, 15.4], {}),
    "thicker slices at the end by their tags": (
        [0, 1, 2, 3, 8, 13],
        {"SliceThickness": [1, 1, 1, 1, 5, 5]},
    ),
    "every slice numbered": (
        [0, 1, 2, 3, 5, 7, 9, 11],
        {"InstanceNumber": [8, 7, 6, 5, 4, 3, 2, 1]},
    ),
    "short blocks by their tags": ([0, 1, 2, 5, 10, 15], {"SliceThickness": [1, 1, 1, 5, 5, 5]}),
}


@pytest.mark.parametrize(("heights", "tags"), DESIGNED.values(), ids=DESIGNED)
def test_thicknesses_by_design(
    dicom: Any, tmp_path: Path, heights: list[float], tags: dict[str, list[Any]]
) -> None:
    source = open_dicom(stack(dicom, tmp_path / "s", heights, **tags))
    assert not source.stack.is_even
    assert len(source.stack.frames) == len(heights)


def labels_of(source: Any) -> NDArray[np.uint8]:
    """Label the first two columns of each plane at 5 mm and above."""
    labels = np.zeros((1, *source.grid.shape), np.uint8)
    labels[0, :2, :, round(5 / source.grid.spacing[2]) :] = 1
    return labels


@pytest.mark.parametrize("lean", [0.0, TILT])
@pytest.mark.parametrize("labelmap", [False, True])
def test_segmentation_on_the_source_planes(
    dicom: Any, tmp_path: Path, lean: float, labelmap: bool
) -> None:
    heights = [0.0, 1, 2, 3, 7, 11, 15]
    thick = {"SliceThickness": [1, 1, 1, 1, 4, 4, 4], "SpacingBetweenSlices": [1, 1, 1, 4, 4, 4, 4]}
    source = open_dicom(stack(dicom, tmp_path / "s", heights, lean=lean, **thick))
    algorithm = dicom_module("results.references").Algorithm("model", "abc", "1")
    labels = Volume(labels_of(source), source.grid.affine)
    dicom_module("results.segmentation_writer").write_segmentation(
        tmp_path / "o.dcm", labels, source, {"a": (1,)}, algorithm=algorithm, labelmap=labelmap
    )
    made = dicom.pydicom.dcmread(tmp_path / "o.dcm")
    places, thicknesses = [], []
    for frame in made.PerFrameFunctionalGroupsSequence:
        places.append(
            [float(number) for number in frame.PlanePositionSequence[0].ImagePositionPatient]
        )
        thicknesses.append(float(frame.PixelMeasuresSequence[0].SliceThickness))
        assert "SpacingBetweenSlices" not in frame.PixelMeasuresSequence[0]
    np.testing.assert_allclose(
        sorted(places), [[0, lean * height, height] for height in (7, 11, 15)], atol=1e-4
    )
    assert thicknesses == [4, 4, 4]
    assert "PixelMeasuresSequence" not in made.SharedFunctionalGroupsSequence[0]
    assert made.pixel_array.tolist() == [[[1, 1, 0, 0, 0]] * 3] * 3
    if shutil.which("dciodvfy") and not labelmap:  # dciodvfy does not know LABELMAP
        done = subprocess.run(
            ["dciodvfy", str(tmp_path / "o.dcm")], capture_output=True, text=True, check=False
        )
        assert [
            line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")
        ] == []


def test_contours_on_the_source_planes(dicom: Any, tmp_path: Path) -> None:
    source = open_dicom(stack(dicom, tmp_path / "s", [0, 1, 2, 3, 7, 11, 15], lean=TILT))
    algorithm = dicom_module("results.references").Algorithm("model", "abc", "1")
    labels = Volume(labels_of(source), source.grid.affine)
    dicom_module("results.structure_set_writer").write_structure_set(
        tmp_path / "r.dcm", labels, source, {"a": (1,)}, algorithm=algorithm
    )
    contours = dicom.pydicom.dcmread(tmp_path / "r.dcm").ROIContourSequence[0].ContourSequence
    heights = [sorted(set(map(float, contour.ContourData[2::3]))) for contour in contours]
    assert heights == [[7], [11], [15]]
    images = [contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours]
    assert images == ["1.2.3.1.5", "1.2.3.1.6", "1.2.3.1.7"]


def test_enhanced_file_of_two_thicknesses(dicom: Any, tmp_path: Path) -> None:
    """Frames run from the highest to the lowest; results refer to their numbers in the file."""
    heights, groups = [15.0, 11, 7, 3, 2, 1, 0], []
    for height in heights:
        group, position, measures, direction = (dicom.pydicom.Dataset() for _ in range(4))
        position.ImagePositionPatient, measures.PixelSpacing = [0, 0, height], [1, 1]
        measures.SliceThickness = 4 if height > 3 else 1
        direction.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        group.PlanePositionSequence, group.PixelMeasuresSequence = [position], [measures]
        group.PlaneOrientationSequence = [direction]
        groups.append(group)
    frames = np.array(heights, np.int16)[:, None, None] * np.full((3, 5), 10, np.int16)
    top = dict.fromkeys(("ImagePositionPatient", "PixelSpacing", "SliceThickness"))
    top["SOPClassUID"] = dicom.pydicom.uid.EnhancedCTImageStorage
    source = open_dicom(
        dicom.file(tmp_path / "e", frames, **top, PerFrameFunctionalGroupsSequence=groups)
    )
    assert source.planes(0, 16)[0, 0, 0].tolist() == list(range(0, 160, 10))
    labels, algorithm = (
        Volume(labels_of(source), source.grid.affine),
        dicom_module("results.references").Algorithm("model", "abc", "1"),
    )
    dicom_module("results.segmentation_writer").write_segmentation(
        tmp_path / "o.dcm", labels, source, {"a": (1,)}, algorithm=algorithm
    )
    made = dicom.pydicom.dcmread(tmp_path / "o.dcm")
    found = {}
    for frame in made.PerFrameFunctionalGroupsSequence:
        number = int(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        found[number] = float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        assert frame.PixelMeasuresSequence[0].SliceThickness == 4
    assert found == {1: 15, 2: 11, 3: 7}
