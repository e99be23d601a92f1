"""What the tests share: where the real data is, and a phantom of two cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from segkit.phantom import write_phantom


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets, or a skip that says why."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEGKIT_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set SEGKIT_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two cases, written once; tests must not change it."""
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", cases=2)


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """full_disk(bytes) stands in for a full disk: the system refuses to make any file longer."""
    resource = pytest.importorskip("resource", reason="limits of file size are POSIX")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
