"""Writing to a full disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import write_labels
from segkit.volume import Volume


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha", "png", "tif"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]], suffix: str
) -> None:
    noise = Volume(
        np.random.default_rng(0).integers(0, 256, (1, 99, 99, 1)).astype(np.uint8), np.eye(4), "px"
    )
    with (
        full_disk(2000),
        pytest.raises(
            InputError, match=rf"a\.{suffix}: expected a place that can be written to, found"
        ),
    ):
        write_labels(tmp_path / f"a.{suffix}", noise)
    assert list(tmp_path.iterdir()) == []
