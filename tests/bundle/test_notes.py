"""Tests of the notes of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.bundle.notes import LENGTH, NOTES, carry_notes


def test_notes_that_are_there_already_stay(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / NOTES).write_text(name)
    carry_notes(tmp_path / "old", "old", tmp_path / "new")
    assert (tmp_path / "new" / NOTES).read_text() == "new"


def test_long_notes_are_carried_without_the_line_above_them(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / NOTES).write_text("x" * LENGTH)
    carry_notes(tmp_path / "old", "old", tmp_path / "new")
    assert (tmp_path / "new" / NOTES).read_text() == "x" * LENGTH


def test_notes_that_cannot_be_read_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NOTES).write_bytes(b"\xff")
    carry_notes(tmp_path, "old", tmp_path / "new")
    assert "the notes of old are left out" in caplog.text
    assert not (tmp_path / "new").exists()
