"""dciodvfy of dicom3tools finds no error in DICOM-SEG and RTSTRUCT, and does not know LABELMAP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Volume

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["binary.dcm", "one.dcm", "rtstruct.dcm"])
def test_no_error(written: Any, tools: Any, name: str) -> None:
    assert tools.errors(written.file(name)) == []


def test_labelmap_is_unknown_to_it(written: Any, tools: Any) -> None:
    """The IOD of 2023 is not in the release of 2022; segment 0 is the background that LABELMAP
    wants.
    """
    errors = tools.errors(written.file("labelmap.dcm"))
    assert len(errors) == 2, "dciodvfy knows LABELMAP by now: correct docs/dicom.md"
    assert errors[0].startswith("Error - SegmentNumber not monotonically increasing")
    assert errors[1] == "Error - Information Object Not found"


def test_two_slice_thicknesses(dicom: Any, tools: Any, tmp_path: Path) -> None:
    for number, height in enumerate([0, 1, 2, 3, 7, 11, 15]):
        own = {"ImagePositionPatient": [0, 0, height], "SliceThickness": 1 if height < 4 else 4}
        dicom.file(tmp_path / "s" / str(number), np.zeros((9, 7), np.int16), number=number, **own)
    source = open_dicom(tmp_path / "s")
    labels = Volume(np.ones((1, *source.grid.shape), np.uint8), source.grid.affine)
    algorithm = dicom_module("results.references").Algorithm("model", "abc123", "1.0")
    dicom_module("results.segmentation_writer").write_segmentation(
        tmp_path / "o.dcm", labels, source, {"liver": (1,)}, algorithm=algorithm
    )
    dicom_module("results.structure_set_writer").write_structure_set(
        tmp_path / "r.dcm", labels, source, {"liver": (1,)}, algorithm=algorithm
    )
    for name in ("o.dcm", "r.dcm"):
        assert tools.errors(tmp_path / name) == []
