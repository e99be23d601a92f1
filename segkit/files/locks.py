"""Locks between processes: for exclusive use of a folder, and for creation of a file by only one.

The operating system manages the lock (package filelock) and releases it when the process ends for
any reason. A small JSON file next to it names the holder, for users and other processes.
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
from segkit.files.atomic import REMADE, make_folder, unwritable, write_text
from segkit.files.processes import boot_id, host_name

log = logging.getLogger(__name__)

LOCK, HOLDER = "in_use.lock", "in_use.json"
"""Files in a locked folder: the lock, and the description of its holder."""
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Error numbers of file systems that do not support locks."""
PATIENCE = 1.0
"""Seconds to wait for a folder, because another process may only be checking whether it is free."""
NOTICE, LONGEST = 5.0, 900.0
"""Seconds of waiting for a file until a message is logged, and until work starts without the lock.
"""


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
    """Number of its SLURM job, or "" if there is none."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Use ``folder`` exclusively within the block: no other process can enter such a block.

    The folder is created if it does not exist, and removed again if it stays empty.

    Raises:
        UsageError: another process uses the folder, or a process on another machine used it and did
            not record its end.
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
        UsageError: as for `sole_use`.
    """
    if any((folder / name).exists() for name in (LOCK, HOLDER)):
        with sole_use(folder):
            pass


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Let one process at a time create the file ``path``; the others wait and can then use it.

    Waiting only saves work: the block also runs if the file system does not support locks, or if
    the other process takes longer than LONGEST seconds.
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
        _acquire(lock, folder)
    except Timeout:
        raise _in_use(folder, read_holder(record)) from None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            log.warning(
                "%s cannot be locked (%s): do not start a second training in it",
                folder,
                error.strerror,
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


def _acquire(lock: FileLock, folder: Path) -> None:
    """Acquire the lock; another process that used the folder may just have removed it as empty."""
    for _ in range(REMADE):
        with suppress(FileNotFoundError, FileExistsError):  # see `make_folder`
            lock.acquire()
            return
        make_folder(folder)
    lock.acquire()


def _check_last_holder(folder: Path, last: Holder | None) -> None:
    """Raise a UsageError if the last holder was on another machine, whose locks may not show."""
    if last is None or last.host == host_name() or (last.boot and last.boot == boot_id()):
        return
    # SLURM restarts a job only after its last run has ended.
    if last.job and last.job == os.environ.get("SLURM_JOB_ID"):
        return
    raise UsageError(
        f"{folder} is in use by {last}, as far as can be seen from this machine ({host_name()}). "
        f"If that process has ended, or that machine is gone, remove {folder / HOLDER} and try "
        "again. Otherwise wait, or give another folder."
    )


def _in_use(folder: Path, holder: Holder | None) -> UsageError:
    user = holder or "another process"
    return UsageError(
        f"{folder} is in use by {user}. "
        "Wait for its end or stop it, or give another folder with run_dir=."
    )


def read_holder(path: Path) -> Holder | None:
    """Return the process that holds or held a lock; None if its file is missing or incomplete.

    Args:
        path: the JSON file next to the lock.
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
    # Remove the file before the release: filelock never acquires a lock on a removed file.
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
        with suppress(InputError):  # the description of the holder is not essential
            _write_holder(record)
        yield
    finally:
        _release(lock, lock_file, record)


def _wait_for_lock(lock_file: Path, record: Path) -> FileLock | None:
    """Return the acquired lock, or None if it cannot be acquired; log long waits."""
    lock = FileLock(lock_file)
    try:
        with suppress(Timeout):
            lock.acquire(timeout=NOTICE, poll_interval=0.05)
            return lock
        holder = read_holder(record) or "another process"
        log.info("waiting for %s, which is preparing the same data", holder)
        lock.acquire(timeout=LONGEST, poll_interval=0.5)
    except Timeout:
        log.warning("waited for %.0f minutes: now preparing the data here as well", LONGEST / 60)
        return None
    except OSError:
        return None
    return lock
