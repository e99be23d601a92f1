"""NiiVue, in node, reads NIfTI, NRRD and MHA, and colors a NIfTI label map as labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["labels.nii.gz", "labels.nrrd", "labels.mha"])
def test_voxels_and_places(written: Any, tools: Any, name: str) -> None:
    place = tools.folder / "niivue/node_modules/@niivue/niivue/build/niivue/index.js"
    if not place.is_file():
        pytest.skip(f"there is no {place}: make test-tools installs it")
    done = tools.run("node", Path(__file__).with_name("niivue.mjs"), place, written.file(name))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert tuple(found["shape"]) == written.labels.shape
    affine = np.array(found["affine"])
    for value in (1, 2):
        # The first axis is the fastest.
        indices = np.stack(
            np.unravel_index(found["voxels"][str(value)], written.labels.shape, order="F"), axis=1
        )
        assert {*map(tuple, indices.tolist())} == {
            *map(tuple, np.argwhere(written.labels == value).tolist())
        }
        points = indices @ affine[:3, :3].T + affine[:3, 3]
        assert written.lies_at(points * (-1, -1, 1), value)
    if name == "labels.nii.gz":
        assert found["colormap"] == "random"  # that of NIFTI_INTENT_LABEL
