"""DICOM-SEG as read by pydicom alone and by highdicom."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Volume

hd = pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")

AXES = nib.eulerangles.euler2mat(0.3, -0.2, 0.9) * (0.7, 0.9, 2.5)
NAMES = {"left_kidney": (5,), "thing": (300,)}


def labels_on(source: Any) -> Volume:
    labels = np.zeros((1, *source.grid.shape), np.int16)
    labels[0, 1:4, 2:4, 1:3], labels[0, 5, 1, 3] = 5, 300
    return Volume(labels, source.grid.affine)


def written(scan: Path, segments: Any = NAMES, *, labelmap: bool = False) -> tuple[Path, Any]:
    source = open_dicom(scan)
    algorithm = dicom_module("results.references").Algorithm("model", "abc123", "0.1.0")
    path = scan.parent / "out.dcm"
    write = dicom_module("results.segmentation_writer").write_segmentation
    write(path, labels_on(source), source, segments, algorithm=algorithm, labelmap=labelmap)
    return path, source


def dciodvfy(path: Path) -> list[str]:
    """Return the errors that dciodvfy finds."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (of the package dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.fixture
def scan(dicom: Any, tmp_path: Path) -> Path:
    voxels = np.zeros((8, 6, 5), np.int16)
    return dicom.series(
        tmp_path / "s", voxels, axes=AXES, origin=(-20, 31.5, 4), names=[4, 1, 3, 0, 2]
    )


def test_frames_have_the_positions_of_the_images(dicom: Any, scan: Path) -> None:
    path, _ = written(scan)
    made = dicom.pydicom.dcmread(path)
    images = {
        str(image.SOPInstanceUID): image for image in map(dicom.pydicom.dcmread, scan.iterdir())
    }
    assert made.FrameOfReferenceUID == "1.2.3.99"
    assert made.NumberOfFrames == 3
    for frame in made.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[str(source.ReferencedSOPInstanceUID)]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, image.ImagePositionPatient, atol=1e-4)
    shared = made.SharedFunctionalGroupsSequence[0]
    directions = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(directions, image.ImageOrientationPatient, atol=1e-6)
    np.testing.assert_allclose(shared.PixelMeasuresSequence[0].PixelSpacing, [0.9, 0.7], atol=1e-6)


@pytest.mark.parametrize(("labelmap", "values"), [(False, (1, 2)), (True, (5, 300))])
def test_highdicom_reads_the_same_voxels_at_the_same_positions(
    scan: Path, labelmap: bool, values: tuple[int, int]
) -> None:
    path, source = written(scan, labelmap=labelmap)
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    expected = labels_on(source)
    # highdicom's volume has its own first corner and axis order: compare positions of labels.
    for number, value in zip(values, (5, 300), strict=True):
        indices = np.argwhere(volume.array == number)
        found = volume.affine @ np.c_[indices, np.ones(len(indices))].T
        ours = np.argwhere(expected.array[0] == value)
        wanted = np.diag([-1, -1, 1, 1]) @ expected.affine @ np.c_[ours, np.ones(len(ours))].T
        assert len(indices) == len(ours)
        np.testing.assert_allclose(
            sorted(map(tuple, found.T)), sorted(map(tuple, wanted.T)), atol=1e-4
        )


def test_names_and_codes(scan: Path) -> None:
    kidney, thing = hd.seg.segread(written(scan)[0]).SegmentSequence
    assert (kidney.SegmentNumber, kidney.SegmentLabel) == (1, "left_kidney")
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("64033007", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert thing.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    assert thing.SegmentDescription == "thing, label value 300"
    assert thing.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "abc123"


def test_segments_that_overlap(scan: Path) -> None:
    seg = hd.seg.segread(written(scan, {"whole": (5, 300), "core": (300,)})[0])
    assert seg.SegmentationType == "BINARY"
    assert seg.get_volume().array.sum(axis=(0, 1, 2)).tolist() == [13, 1]
    with pytest.raises(
        InputError,
        match=r"labels from 1 to 65535 that do not overlap, .* found whole 5 300, core 300",
    ):
        written(scan, {"whole": (5, 300), "core": (300,)}, labelmap=True)


def test_no_voxel_of_any_segment(scan: Path) -> None:
    assert hd.seg.segread(written(scan, {"none": (9,)})[0]).get_volume().array.sum() == 0


def test_letters_beyond_ascii(scan: Path) -> None:
    assert (
        hd.seg.segread(written(scan, {"Müller — 肝": (5,)})[0]).SegmentSequence[0].SegmentLabel
        == "Müller — 肝"
    )


def test_dciodvfy_finds_no_error(scan: Path) -> None:
    assert dciodvfy(written(scan)[0]) == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")  # written on purpose
def test_images_without_frame_of_reference(
    dicom: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan = dicom.series(
        tmp_path / "s", np.zeros((8, 6, 5), np.int16), FrameOfReferenceUID=None, PatientAge="0Y"
    )
    path, _ = written(scan)
    assert "no Frame of Reference UID; results get a new one" in caplog.text
    assert dciodvfy(path) == []


def test_picture_without_position(dicom: Any, tmp_path: Path) -> None:
    none = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    scan = dicom.file(tmp_path / "a", np.zeros((6, 8), np.int16), **none)
    with pytest.raises(
        InputError, match=r"expected images with ImagePositionPatient .* for output as DICOM"
    ):
        dicom_module("results.references").check_references(open_dicom(scan))


def test_images_without_uids(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", np.zeros((6, 8), np.int16), SeriesInstanceUID=None)
    with pytest.raises(
        InputError, match="images with SOPInstanceUID and SeriesInstanceUID, for output as DICOM"
    ):
        dicom_module("results.references").check_references(open_dicom(scan))


@pytest.mark.parametrize(
    "name",
    [
        "philips_enhanced_anatomical_001",
        "siemens_multiframe_anatomical_001",
        "failing_gantrytilting_001",
    ],
)
def test_real_series(data_root: Path, tmp_path: Path, name: str) -> None:
    """Enhanced files and a tilted gantry: highdicom keeps the position of each frame."""
    scan = tmp_path / "s"
    shutil.copytree(data_root / "dicom_hard" / name, scan)
    path, source = written(scan)
    seg = hd.seg.segread(path)
    assert dciodvfy(path) == []
    found = sorted(
        tuple(item.PlanePositionSequence[0].ImagePositionPatient)
        for item in seg.PerFrameFunctionalGroupsSequence
    )
    wanted = sorted(tuple(source.stack.frames[z].position) for z in (1, 2, 3))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
