"""Scans that the frozen model segments as can be seen: 100 becomes label 5, -100 label 300."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.io import read_volume, write_image
from segkit.volume import Volume

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
AXES = np.diag([1.0, 1.0, 5.0])


def voxels() -> np.ndarray[Any, Any]:
    """Return a bright square of 8 x 8 and a dark one of 6 x 8 voxels on two slices."""
    array = np.zeros((20, 20, 2), np.int16)
    array[2:10, 2:10], array[12:18, 2:10] = 100, -100
    return array


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and an environment that names no model."""
    monkeypatch.chdir(tmp_path)
    for name in ("SEGKIT_MODEL", "SEGKIT_MODELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def models(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has one model, "squares", as that of an image with one model."""
    folder = here / "models"
    folder.mkdir()
    (folder / "squares").symlink_to(FROZEN)
    monkeypatch.setenv("SEGKIT_MODELS", str(folder))
    return folder


@pytest.fixture
def write_scan() -> Callable[[Path], Path]:
    """Write the squares as a scan in the format of the suffix, and return its path."""

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, Volume(voxels()[None], np.diag([1.0, 1.0, 5.0, 1.0])))
        return path

    return write


@pytest.fixture
def check_labels() -> Callable[[Path, Path], None]:
    """Check that a label map has the scan's grid and the two squares."""

    def check(labels: Path, scan: Path) -> None:
        found, source = read_volume(labels), read_volume(scan)
        np.testing.assert_allclose(found.affine, source.affine, atol=1e-4)
        np.testing.assert_array_equal(found.array == 5, source.array == 100)
        np.testing.assert_array_equal(found.array == 300, source.array == -100)

    return check
