"""A disk that is full while a file is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import write_labels
from segkit.volume import Volume

resource = pytest.importorskip("resource", reason="limits of file size are POSIX")


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """A stand-in for a full disk: the system refuses to make any file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha", "png", "tif"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 99, 99, 1)).astype(np.uint8)
    with (
        file_size(2000),
        pytest.raises(InputError, match=rf"a\.{suffix}: expected a place that can be written to, found"),
    ):
        write_labels(tmp_path / f"a.{suffix}", Volume(noise, np.eye(4), "px"))
    assert list(tmp_path.iterdir()) == []
