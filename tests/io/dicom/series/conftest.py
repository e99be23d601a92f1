"""Fixture of a series that mixes images of two kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VOXELS = np.arange(2 * 3 * 6, dtype=np.int16).reshape(2, 3, 6)
Elements = Mapping[str, Any]


@pytest.fixture
def mixed(dicom: Any, tmp_path: Path) -> Callable[..., Path]:
    """Return mixed(one, other, second={1, 3}), which writes six slices.

    The slices in ``second`` have the elements ``other``, the rest have ``one``.
    """

    def write(one: Elements, other: Elements, second: Sequence[int] = (1, 3)) -> Path:
        for index in range(6):
            own = {"ImagePositionPatient": [0, 0, 2 * index], "Modality": "MR", "number": index + 1}
            own |= other if index in second else one
            dicom.file(tmp_path / "s" / f"IM{index}", VOXELS[..., index].T.copy(), **own)
        return tmp_path / "s"

    return write
