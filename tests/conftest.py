"""What the tests share: where the real data is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets, or a skip that says why."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEGKIT_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set SEGKIT_TEST_DATA)")
    return folder
