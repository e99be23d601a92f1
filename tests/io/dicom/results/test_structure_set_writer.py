"""RT Structure Set: contours on the planes of the images."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Volume

AXES = nib.eulerangles.euler2mat(0.3, -0.2, 0.9) * (0.7, 0.9, 2.5)


@pytest.fixture
def made(dicom: Any, tmp_path: Path) -> tuple[Path, Any, Any]:
    """Return path, dataset and source: one voxel of "spot" at (3, 2, 1), and "none" is empty."""
    place = dicom.series(
        tmp_path / "s", np.zeros((8, 6, 5), np.int16), axes=AXES, origin=(-20, 31.5, 4)
    )
    source = open_dicom(place)
    labels = np.zeros((1, 8, 6, 5), np.uint8)
    labels[0, 3, 2, 1] = 4
    algorithm = dicom_module("results.references").Algorithm("model", "abc123", "0.1.0")
    write = dicom_module("results.structure_set_writer").write_structure_set
    write(
        tmp_path / "rt.dcm",
        Volume(labels, source.grid.affine),
        source,
        {"spot": (4,), "none": (9,)},
        algorithm=algorithm,
    )
    return tmp_path / "rt.dcm", dicom.pydicom.dcmread(tmp_path / "rt.dcm"), source


def test_contour_lies_in_the_plane_of_its_image(made: tuple[Path, Any, Any]) -> None:
    _, content, source = made
    (contour,) = content.ROIContourSequence[0].ContourSequence
    points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
    assert (contour.ContourGeometricType, contour.NumberOfContourPoints) == ("CLOSED_PLANAR", 4)
    lps = np.diag([-1, -1, 1, 1]) @ source.grid.affine
    indices = (np.linalg.inv(lps) @ np.c_[points, np.ones(4)].T).T[:, :3]
    wanted = [(2.5, 2, 1), (3, 1.5, 1), (3, 2.5, 1), (3.5, 2, 1)]
    np.testing.assert_allclose(sorted(map(tuple, indices.round(4))), wanted, atol=1e-4)
    image = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
    assert image == source.stack.frames[1].instance.header.SOPInstanceUID


def test_names_and_references(made: tuple[Path, Any, Any]) -> None:
    _, content, source = made
    assert [roi.ROIName for roi in content.StructureSetROISequence] == ["spot", "none"]
    assert "ContourSequence" not in content.ROIContourSequence[1]
    reference = content.ReferencedFrameOfReferenceSequence[0]
    assert reference.FrameOfReferenceUID == "1.2.3.99"
    series = reference.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == source.series.uid
    assert len(series.ContourImageSequence) == 5


def test_dciodvfy_finds_no_error(made: tuple[Path, Any, Any]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (of the package dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", str(made[0])], capture_output=True, text=True, check=False)
    assert [
        line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")
    ] == []
