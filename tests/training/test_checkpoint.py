"""Which checkpoint is taken, and that the last good one is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.training.checkpoint import has_checkpoint, newest_checkpoint


def test_a_folder_without_a_complete_file_has_none(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 32}.ckpt").write_bytes(b"half")
    assert not has_checkpoint(tmp_path)
    assert not has_checkpoint(tmp_path / "none")
    assert newest_checkpoint(tmp_path) is None


def test_between_the_two_renames_the_previous_one_is_taken(tmp_path: Path) -> None:
    torch.save({"step": 1}, tmp_path / "previous.ckpt")
    assert has_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path) == (tmp_path / "previous.ckpt", {"step": 1})


def test_one_that_cannot_be_read_does_not_replace_the_last_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"step": 1}, tmp_path / "previous.ckpt")
    (tmp_path / "last.ckpt").write_bytes(b"half")
    for _ in range(2):
        assert newest_checkpoint(tmp_path) == (tmp_path / "previous.ckpt", {"step": 1})
    assert not (tmp_path / "last.ckpt").exists()
    assert caplog.text.count("last.ckpt cannot be read and is left aside: it was cut short") == 1
