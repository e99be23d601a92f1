"""SimpleITK reads NRRD, MHA and NIfTI; DICOM-SEG and tilted NIfTI hardly, as docs/dicom.md says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK

pytestmark = pytest.mark.slow


def read(path: object) -> tuple[SimpleITK.Image, np.ndarray]:
    image = SimpleITK.ReadImage(str(path))
    return image, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)


def places(image: SimpleITK.Image, array: np.ndarray, value: int) -> np.ndarray:
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return np.argwhere(array == value) @ steps.T + image.GetOrigin()


@pytest.mark.parametrize("name", ["labels.nrrd", "labels.mha", "labels.nii.gz"])
def test_voxels_and_places(written: Any, name: str) -> None:
    if written.kind == "tilted" and name == "labels.nii.gz":
        with pytest.raises(RuntimeError, match="orthonormal"):
            read(written.file(name))
        return
    image, array = read(written.file(name))
    assert np.array_equal(array, written.labels)
    assert all(written.lies_at(places(image, array, value), value) for value in (1, 2))


def test_of_segmentations_it_reads_one_segment_of_an_upright_series(written: Any) -> None:
    with pytest.raises(RuntimeError, match="Unable to determine ImageIO reader"):
        read(written.file("labelmap.dcm"))
    image, array = read(written.file("one.dcm"))
    assert written.lies_at(places(image, array, 255), 1) == (written.kind != "tilted")
    image, array = read(written.file("binary.dcm"))
    assert image.GetSpacing()[2] == 1.0, (
        "SimpleITK keeps planes of two segments apart by now: correct docs/dicom.md"
    )
    assert (
        array.shape[2] == 6 + 7
    )  # the planes of the first segment, and those of the second behind them
