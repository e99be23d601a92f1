"""Locks between processes: exclusive use of a folder, and one process at a time for making a file.

The operating system holds the lock (package filelock) and frees it when its process ends, however
it ends. A small JSON file beside it names the holder for people and for other processes.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from segkit.errors import InputError, UsageError
from segkit.files.atomic import make_folder, unwritable, write_text
from segkit.files.processes import boot_id, host_name

log = logging.getLogger(__name__)

LOCK, HOLDER = "in_use.lock", "in_use.json"
"""Files in a folder that a process uses exclusively: the lock, and the record of its holder."""
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Error numbers of file systems that have no locks."""
PATIENCE = 1.0
"""Seconds to wait for a folder, because another process may only be checking whether it is free."""
NOTICE, LONGEST = 5.0, 900.0
"""Seconds of waiting for a file until a message says so, and until work starts without the lock."""


@dataclass(frozen=True)
class Holder:
    """Process that holds a lock."""

    host: str
    """Name of its machine."""
    process: int
    """Process number (PID)."""
    since: str
    """Date and time when it took the lock, in UTC."""
    boot: str = ""
    """`boot_id` of its machine, or "" where that is unknown."""
    job: str = ""
    """Number of its SLURM job, or "" without one."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Use ``folder`` exclusively within the block: no other process that asks for it gets it.

    The folder is created if it does not exist, and removed again if it stays empty.

    Raises:
        UsageError: another process uses the folder, or a process of another machine used it and its
            end was not recorded.
        InputError: the folder cannot be written.
    """
    made = make_folder(folder)
    try:
        with _folder_lock(folder):
            yield
    finally:
        _remove_if_empty(made)


def check_free(folder: Path) -> None:
    """Check that no other process uses ``folder``, without changing the folder.

    Raises:
        UsageError: as `sole_use`.
    """
    if any((folder / name).exists() for name in (LOCK, HOLDER)):
        with sole_use(folder):
            pass


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Let one process at a time create the file ``path``; the others wait, and then find it there.

    Waiting only saves work: the block also runs where the file system has no locks, and when the
    other process takes longer than LONGEST seconds.
    """
    made = make_folder(path.parent)
    try:
        with _lock_in_turn(path.with_name(f".{path.name}.lock")):
            yield
    finally:
        _remove_if_empty(made)


def _remove_if_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):  # not empty
        for path in folders:
            path.rmdir()


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    lock_file, record = folder / LOCK, folder / HOLDER
    lock = FileLock(lock_file, timeout=PATIENCE, poll_interval=0.1)
    try:
        lock.acquire()
    except Timeout:
        raise _in_use(folder, read_holder(record)) from None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            log.warning(
                "%s cannot be locked (%s): start no second training in it", folder, error.strerror
            )
            yield
            return
        if lock_file.exists():  # created by another account
            raise _in_use(folder, read_holder(record)) from error
        raise unwritable(folder, (error.strerror or str(error)).lower()) from error
    try:
        _check_last_holder(folder, read_holder(record))
    except UsageError:
        lock.release()
        raise
    try:
        _write_holder(record)
        yield
    finally:
        _release(lock, lock_file, record)


def _check_last_holder(folder: Path, last: Holder | None) -> None:
    """Raise a UsageError if another machine, whose locks may not reach this one, left the lock."""
    if last is None or last.host == host_name() or (last.boot and last.boot == boot_id()):
        return
    # SLURM restarts a job only after it has ended.
    if last.job and last.job == os.environ.get("SLURM_JOB_ID"):
        return
    raise UsageError(
        f"{folder} is in use by {last}, as far as can be seen from this machine ({host_name()}). "
        f"If that process has ended, or that machine is gone, remove {folder / HOLDER} and try "
        "again. Else wait, or give another folder."
    )


def _in_use(folder: Path, holder: Holder | None) -> UsageError:
    user = holder or "another process"
    return UsageError(
        f"{folder} is in use by {user}. "
        "Wait for its end or stop it, or give another folder with run_dir=."
    )


def read_holder(path: Path) -> Holder | None:
    """Return the process that holds or held a lock; None if its record is missing or incomplete.

    Args:
        path: the JSON file beside the lock.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Holder(**{**content, "process": int(content["process"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _write_holder(path: Path) -> None:
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    holder = Holder(host_name(), os.getpid(), since, boot_id(), os.environ.get("SLURM_JOB_ID", ""))
    write_text(path, json.dumps(asdict(holder), indent=2) + "\n")


def _release(lock: FileLock, lock_file: Path, record: Path) -> None:
    # Removed while the lock is held: filelock takes no lock on a file that was removed meanwhile.
    for path in (record, lock_file):
        with suppress(OSError):
            path.unlink()
    lock.release()


@contextmanager
def _lock_in_turn(lock_file: Path) -> Iterator[None]:
    record = lock_file.with_suffix(".json")
    lock = _wait_for_lock(lock_file, record)
    if lock is None:
        yield
        return
    try:
        with suppress(InputError):  # work goes on without a record of the holder
            _write_holder(record)
        yield
    finally:
        _release(lock, lock_file, record)


def _wait_for_lock(lock_file: Path, record: Path) -> FileLock | None:
    """Return the lock once it is free; None if it cannot be acquired. Long waits are logged."""
    lock = FileLock(lock_file)
    try:
        with suppress(Timeout):
            lock.acquire(timeout=NOTICE, poll_interval=0.05)
            return lock
        holder = read_holder(record) or "another process"
        log.info("waiting for %s, which is preparing the same data", holder)
        lock.acquire(timeout=LONGEST, poll_interval=0.5)
    except Timeout:
        log.warning("waited for %.0f minutes: the data are prepared here as well", LONGEST / 60)
        return None
    except OSError:
        return None
    return lock
