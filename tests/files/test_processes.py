"""Processes that have ended, and clean-up on signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segkit.files.processes import ended_in_order, has_ended, is_running, process_token

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="signals and process numbers are POSIX"
)

PRINT_TOKEN = (
    "from segkit.files.processes import process_token; print(process_token(), flush=True); input()"
)


def test_this_process_runs() -> None:
    assert len(process_token()) == 24
    assert not has_ended(process_token())
    assert is_running(process_token())


def test_another_process_runs_until_it_is_killed() -> None:
    command = [sys.executable, "-c", PRINT_TOKEN]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        assert not has_ended(token)
        process.kill()
    assert has_ended(token)
    assert not is_running(token)


def test_a_number_that_another_process_has_now_is_not_the_same_process() -> None:
    token = process_token()
    if token.endswith("0" * 8):
        pytest.skip("this system does not say when a process began")
    assert has_ended(f"{token[:16]}{'ab' * 4}")


def test_a_process_of_another_machine_cannot_be_seen() -> None:
    token = f"{'ab' * 4}{'f' * 8}{'0' * 8}"
    assert not has_ended(token)
    assert not is_running(token)


def test_a_signal_that_would_end_the_process_unwinds_it() -> None:
    with pytest.raises(SystemExit) as stop, ended_in_order():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with ended_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
