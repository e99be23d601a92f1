"""Workers of a training in a container with little shared memory."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from segkit.training.data.shared_memory import (
    batch_bytes,
    fitting_workers,
    free_shared_memory,
    workers_that_fit,
)

OF_DOCKER = 64 * 2**20
"""Shared memory of a container by default."""


def test_a_batch_is_its_images_and_labels() -> None:
    assert batch_bytes(2, 4, (10, 10, 10)) == 2 * (4 + 1) * 1000 * 4


@pytest.mark.parametrize(("batch", "workers"), [(2**20, 8), (8 * 2**20, 3), (32 * 2**20, 0)])
def test_workers_keep_their_batches_in_shared_memory(batch: int, workers: int) -> None:
    assert workers_that_fit(8, batch, OF_DOCKER) == workers
    assert (2 * workers + 2) * batch <= OF_DOCKER or workers == 0


def test_fewer_workers_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fitting_workers(8, 8 * 2**20, OF_DOCKER) == 3
    assert "3 of 8 worker processes" in caplog.text
    assert "docker run --shm-size 2g" in caplog.text


def test_enough_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fitting_workers(2, 2**20, OF_DOCKER) == 2
        assert fitting_workers(2, 2**20, None) == 2
    assert not caplog.records


def test_free_memory_is_of_the_folder_if_there_is_one(tmp_path: Path) -> None:
    found = free_shared_memory(tmp_path)
    assert found is not None
    assert found > 0
    assert free_shared_memory(tmp_path / "none") is None
