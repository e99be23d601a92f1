"""Processes: identity of this one, state of others on this machine, and cleanup on a signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType

SIGNAL_CODES = 128
"""Offset of exit codes: shells report 128 + n for a program that signal n ended."""
ENDING = ("SIGTERM", "SIGHUP")
"""Names of the signals that end a process, besides Ctrl-C; Windows has no SIGHUP."""


def host_name() -> str:
    """Return the name of this machine, for messages."""
    return os.environ.get("COMPUTERNAME", "") if sys.platform == "win32" else os.uname().nodename


@cache
def boot_id() -> str:
    """Return Linux's identifier of the current boot, or "" on other systems."""
    return _text(Path("/proc/sys/kernel/random/boot_id")).strip()


def process_token() -> str:
    """Return 24 hex digits that identify this process: machine, process number and start time.

    The token is part of the names of temporary files, so that a later process can tell whether
    their writer is still running.
    """
    number = os.getpid()
    return f"{_machine()}{number:08x}{_start_of(number)}"


def has_ended(token: str) -> bool:
    """Return whether the process of a `process_token` has certainly ended.

    The answer is False for a process on another machine or in another container, because it cannot
    be seen from here.
    """
    machine, number, start = _parts(token)
    return machine == _machine() and _start_of(number) not in (start, UNKNOWN)


def is_running(token: str) -> bool:
    """Return whether the process of a `process_token` seems to be running on this machine."""
    machine, number, start = _parts(token)
    return machine == _machine() and _start_of(number) in (start, UNKNOWN)


def _parts(token: str) -> tuple[str, int, str]:
    """Split a token into machine, process number and start."""
    return token[:8], int(token[8:16], 16), token[16:]


UNKNOWN = "0" * 8
"""Start of a running process whose start time cannot be determined."""


@cache
def _machine() -> str:
    """Return 8 hex digits for the host and PID namespace: each container numbers its processes."""
    with suppress(OSError):
        return _digits(host_name() + os.readlink("/proc/self/ns/pid"))
    return _digits(host_name())


def _start_of(number: int) -> str | None:
    """Return 8 hex digits for the start time of a process; None if there is no such process."""
    if sys.platform == "win32":  # os.kill would end the process there
        return UNKNOWN
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:  # it belongs to another user
        pass
    # The program name, in parentheses, may contain any character; see proc_pid_stat(5).
    fields = _text(Path(f"/proc/{number}/stat")).rpartition(")")[2].split()
    if len(fields) < 20:
        return UNKNOWN
    return None if fields[0] in "ZX" else _digits(boot_id() + fields[19])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _digits(text: str) -> str:
    # crc32, because importing hashlib would slow down the start of every command.
    return f"{zlib.crc32(text.encode()) or 1:08x}"


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Turn signals that would end the process immediately into SystemExit within the block.

    This gives cleanup code, such as the removal of temporary files, a chance to run. A signal that
    is ignored (as under nohup) or already handled keeps its handler.
    """
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may set handlers
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(SIGNAL_CODES + number)
