"""Atomic writing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from segkit.errors import InputError
from segkit.files.atomic import (
    atomic_path,
    make_folder,
    remove_leftovers,
    remove_leftovers_of_ended,
    write_text,
)
from segkit.files.names import readable_files


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "Größe")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "Größe".encode()


def test_temporary_file_keeps_the_suffixes(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "name of a patient.NII.GZ") as temporary:
        assert re.fullmatch(r"\.[0-9a-f]{32}\.nii\.gz", temporary.name)
        assert temporary.parent == tmp_path
        temporary.touch()


def fail_half_way(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError):
        fail_half_way(tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(
        InputError,
        match=r"b\.txt: expected a place that can be written to, found file exists\. Choose",
    ):
        write_text(tmp_path / "a.txt" / "b.txt", "new")
    with pytest.raises(InputError, match="found file name too long"):
        write_text(tmp_path / f"{'n' * 300}.txt", "new")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match="found is a directory"):
        write_text(tmp_path / "folder.txt", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder.txt"]


def test_a_killed_process_leaves_no_file_under_the_final_name(tmp_path: Path) -> None:
    code = """
import time
from segkit.files.atomic import atomic_path
with atomic_path("a.nii") as temporary:
    temporary.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"half"
        (left,) = tmp_path.iterdir()
        remove_leftovers_of_ended(tmp_path)
        remove_leftovers(tmp_path)
        assert left.exists()  # its writer runs
        process.kill()
    assert readable_files(tmp_path) == []
    assert not (tmp_path / "a.nii").exists()
    (tmp_path / f".{'0' * 32}.nii").touch()  # of another machine, or of an older version
    (tmp_path / ".mine").touch()
    remove_leftovers_of_ended(tmp_path, tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".00000000000000000000000000000000.nii",
        ".mine",
    ]
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine"]


def test_created_folders_are_returned(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a/b") == [tmp_path / "a/b", tmp_path / "a"]
    assert make_folder(tmp_path / "a/b") == []
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match="file: expected a place that can be written to, found file exists"
    ):
        make_folder(tmp_path / "file")
