"""dcmqi reads DICOM-SEG of straight and oblique series; tilted ones it moves, as docs/dicom.md
says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.slow
RAS = np.diag([-1.0, -1.0, 1.0])


def read_by_dcmqi(tools: Any, path: Path, folder: Path) -> dict[int, NDArray[np.float64]]:
    """Return the places in mm, LPS, of the voxels of each value that dcmqi writes."""
    folder.mkdir()
    done = tools.run(
        "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nii"
    )
    assert done.returncode == 0, done.stderr
    places: dict[int, NDArray[np.float64]] = {}
    for file in sorted(folder.glob("*.nii.gz")):
        image = nib.load(file)
        array = np.asarray(image.dataobj)
        for value in np.unique(array[array > 0]).tolist():
            points = np.argwhere(array == value) @ image.affine[:3, :3].T + image.affine[:3, 3]
            places[value] = points @ RAS
    return places


@pytest.mark.parametrize("name", ["binary.dcm", "labelmap.dcm"])
def test_voxels_and_places(written: Any, tools: Any, tmp_path: Path, name: str) -> None:
    found = read_by_dcmqi(tools, written.file(name), tmp_path / "out")
    assert sorted(found) == [1, 2]
    right = [written.lies_at(found[value], value) for value in (1, 2)]
    if written.kind == "tilted":
        assert right == [False, False], (
            "dcmqi reads a tilted SEG rightly by now: correct docs/dicom.md"
        )
    else:
        assert right == [True, True]
