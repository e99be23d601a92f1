"""Exclusive use of a folder, and turns at a file, between real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from segkit.errors import InputError, UsageError
from segkit.files.locks import HOLDER, LOCK, check_free, read_holder, sole_use, turn
from segkit.files.processes import host_name

USE = """
from pathlib import Path
from segkit.files.locks import {what}
with {what}(Path({path!r})):
    print("in", flush=True)
    input()
"""


@contextmanager
def other_process(what: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds a lock until its standard input ends."""
    command = [sys.executable, "-c", USE.format(what=what, path=str(path))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        try:
            yield process
        finally:
            process.kill()


def left_by(folder: Path, **fields: object) -> None:
    holder = {
        "host": "elsewhere",
        "process": 7,
        "since": "2026-01-02 03:04:05 UTC",
        "boot": "x",
        "job": "",
    }
    (folder / HOLDER).write_text(json.dumps({**holder, **fields}))
    (folder / LOCK).touch()


def test_a_folder_in_use_names_its_holder_and_is_free_again_afterwards(tmp_path: Path) -> None:
    with sole_use(tmp_path / "new" / "run"):
        holder = read_holder(tmp_path / "new" / "run" / HOLDER)
        assert holder is not None
        assert (holder.host, holder.process) == (host_name(), os.getpid())
        with pytest.raises(
            UsageError,
            match=rf"run is in use by process {os.getpid()} on {host_name()} since 20.* UTC",
        ):
            check_free(tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


def test_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ZeroDivisionError), sole_use(tmp_path):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    check_free(tmp_path)
    check_free(tmp_path / "none")


def test_a_folder_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with other_process("sole_use", tmp_path) as process:
        with (
            pytest.raises(UsageError, match=f"in use by process {process.pid} on "),
            sole_use(tmp_path),
        ):
            pass
        process.kill()
        process.wait()
        assert (tmp_path / HOLDER).is_file()
        with sole_use(tmp_path):
            holder = read_holder(tmp_path / HOLDER)
            assert holder is not None
            assert holder.process == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_machine_left_is_explained_and_stays(tmp_path: Path) -> None:
    left_by(tmp_path)
    with pytest.raises(
        UsageError,
        match=r"process 7 on elsewhere since 2026-01-02 03:04:05 UTC.* remove .*in_use\.json",
    ):
        check_free(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [HOLDER, LOCK]
    (tmp_path / HOLDER).unlink()
    check_free(tmp_path)


@pytest.mark.parametrize("fields", [{"host": host_name()}, {"job": "12"}])
def test_a_lock_from_before_a_restart_is_taken_over(
    tmp_path: Path, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")  # a job that SLURM starts again runs once only
    left_by(tmp_path, **fields)
    check_free(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": "x"}', '{"a": 1}'])
def test_an_incomplete_record_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / HOLDER).write_text(content)
    assert read_holder(tmp_path / HOLDER) is None
    check_free(tmp_path)


def test_a_place_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="expected a place that can be written to"),
        sole_use(tmp_path / "file" / "run"),
    ):
        pass


def test_a_turn_waits_for_the_other_process(tmp_path: Path) -> None:
    with other_process("turn", tmp_path / "case") as process:
        threading.Timer(0.3, process.kill).start()
        started = time.monotonic()
        with turn(tmp_path / "case"):
            assert time.monotonic() - started > 0.1
    assert list(tmp_path.iterdir()) == []


def test_turns_of_threads_never_overlap(tmp_path: Path) -> None:
    inside: list[int] = []

    def work() -> None:
        for _ in range(5):
            with turn(tmp_path / "case"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_a_turn_is_taken_where_no_lock_can_be_had(tmp_path: Path) -> None:
    (tmp_path / ".case.lock").mkdir()
    with turn(tmp_path / "case"):
        (tmp_path / "case").touch()
    assert (tmp_path / "case").is_file()


def test_a_folder_that_others_remove_as_empty_can_still_be_locked(tmp_path: Path) -> None:
    folder, ends = tmp_path / "claims" / "a", threading.Event()

    def remove() -> None:
        while not ends.wait(1e-3):
            for path in (folder, folder.parent):
                with suppress(OSError):  # it is in use, or not there
                    path.rmdir()

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(100):
            with sole_use(folder):
                assert (folder / LOCK).is_file()
    finally:
        ends.set()
        thread.join()
