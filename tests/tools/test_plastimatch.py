"""plastimatch fills the contours of an RTSTRUCT: the voxels of the label map come back, all of
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

pytestmark = pytest.mark.slow


def test_voxels_of_contours(written: Any, tools: Any, tmp_path: Path) -> None:
    words = (
        "--fixed",
        written.file("labels.nrrd"),
        "--output-prefix",
        tmp_path / "out",
        "--prefix-format",
        "nrrd",
    )
    done = tools.run("plastimatch", "convert", "--input", written.file("rtstruct.dcm"), *words)
    assert done.returncode == 0, done.stderr
    for name, value in (("liver", 1), ("tumour", 2)):
        filled = SimpleITK.GetArrayFromImage(
            SimpleITK.ReadImage(str(tmp_path / "out" / f"{name}.nrrd"))
        )
        assert np.array_equal(filled.transpose(2, 1, 0) > 0, written.labels == value)
