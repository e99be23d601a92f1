"""nibabel reads NIfTI label maps of straight, oblique and tilted series."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_voxels_and_places(written: Any) -> None:
    image = nib.load(written.file("labels.nii.gz"))
    array = np.asarray(image.dataobj)
    assert np.array_equal(array, written.labels)
    for value in (1, 2):
        points = np.argwhere(array == value) @ image.affine[:3, :3].T + image.affine[:3, 3]
        assert written.lies_at(points * (-1, -1, 1), value)
