from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.dataset.dataset import Case
from segkit.inference.export.windows import windows_for

FROZEN = Path(__file__).parents[2] / "data" / "bundle_v1"
RUN = """format_version: 1
dataset: {{path: {}}}
"""


@pytest.fixture
def bundle() -> Bundle:
    """A 2D model of CT with windows of 16 x 16 x 1; values become (HU - 0) / 100."""
    return read_bundle(FROZEN)


def test_windows_of_a_scan(bundle: Bundle, write_case: Callable[..., Case]) -> None:
    scan = np.zeros((24, 24, 3))
    scan[:, :, 1] = np.arange(24)[:, None]
    case = write_case("thorax", scan)
    found = windows_for(bundle, case.images)
    assert found.source == "of thorax"
    middle, corner = found.windows
    assert middle.shape == corner.shape == (1, 1, 16, 16)
    assert float(corner.abs().max()) == 0  # slice 0
    # Windows along an edge of 24 voxels start at 0, 4 and 8, and the last one holds voxel 12 too.
    np.testing.assert_allclose(middle[0, 0, :, 0] * 100, np.arange(8, 24), rtol=1e-6)


def test_a_scan_with_one_window_is_padded(bundle: Bundle, write_case: Callable[..., Case]) -> None:
    case = write_case("small", np.full((10, 16, 1), 100.0))
    (window,) = windows_for(bundle, case.images).windows
    assert window[0, 0, :, 0].tolist() == [0] * 3 + [1] * 10 + [0] * 3


def test_without_scans_random_numbers(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    found = windows_for(bundle, [])
    assert found.source == "of random numbers"
    assert "there is no scan to compare on" in caplog.text
    normal, flat = found.windows
    assert (round(float(normal.std())), round(float(flat.mean()))) == (1, -1)
    again = windows_for(bundle, []).windows
    assert torch.equal(again[0], normal)


def test_cases_of_the_run(tmp_path: Path, phantom: Path) -> None:
    (tmp_path / "bundle" / "weights").mkdir(parents=True)
    for file in FROZEN.rglob("*"):
        if file.is_file():
            (tmp_path / "bundle" / file.relative_to(FROZEN)).write_bytes(file.read_bytes())
    bundle = read_bundle(tmp_path)
    (tmp_path / "config.yaml").write_text(RUN.format(json.dumps(str(phantom))), encoding="utf-8")
    assert windows_for(bundle, []).source == "of phantom_A_001, phantom_B_002"
    (tmp_path / "config.yaml").write_text(RUN.format("gone"), encoding="utf-8")
    assert windows_for(bundle, []).source == "of random numbers"
    (tmp_path / "config.yaml").write_text("format_version: 999\n", encoding="utf-8")
    assert windows_for(bundle, []).source == "of random numbers"
