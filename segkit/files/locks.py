"""Locks between processes: sole use of a folder, and turns at making a file.

The lock itself is the operating system's (package filelock), which frees it when its process ends, however it ends. A
small JSON file beside it names the holder for people and for other processes.
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
"""Files in a folder while a process has its sole use: the lock, and who holds it."""
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems that have no locks."""
PATIENCE = 1.0
"""Seconds to wait for a folder: another process may only be looking whether it is free."""
NOTICE, LONGEST = 5.0, 900.0
"""Seconds of waiting for a turn until that is said, and until the turn is taken without the lock."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    process: int
    since: str
    """Date and time, UTC."""
    boot: str = ""
    """`boot_id` of its machine."""
    job: str = ""
    """Number of its SLURM job."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Let no other process use ``folder`` within the block; the folder is made, and removed again if it stays empty.

    Raises:
        UsageError: another process uses it; or one of another machine did and did not say that it has ended.
        InputError: a folder that cannot be written.
    """
    made = make_folder(folder)
    try:
        with _folder_lock(folder):
            yield
    finally:
        _remove_if_empty(made)


def check_free(folder: Path) -> None:
    """Raise as `sole_use` does if ``folder`` is in use; a folder that is free is left as it is."""
    if any((folder / name).exists() for name in (LOCK, HOLDER)):
        with sole_use(folder):
            pass


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Let one process at a time make the file ``path``; others wait, and then find it made.

    Waiting only saves work: where there are no locks, or the other process does not come to an end within LONGEST, the
    block runs all the same.
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
    place, record = folder / LOCK, folder / HOLDER
    lock = FileLock(place, timeout=PATIENCE, poll_interval=0.1)
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
        if place.exists():  # made by another account
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
        _release(lock, place, record)


def _check_last_holder(folder: Path, last: Holder | None) -> None:
    """Raise UsageError if the lock was left by another machine, whose locks may not reach this one."""
    if last is None or last.host == host_name() or (last.boot and last.boot == boot_id()):
        return
    # SLURM starts a job again only when it has ended.
    if last.job and last.job == os.environ.get("SLURM_JOB_ID"):
        return
    raise UsageError(
        f"{folder} is in use by {last}, as far as can be seen from this machine ({host_name()}). If that process has "
        f"ended, or that machine is gone, remove {folder / HOLDER} and try again. Else wait, or give another folder."
    )


def _in_use(folder: Path, holder: Holder | None) -> UsageError:
    by = holder or "another process"
    return UsageError(
        f"{folder} is in use by {by}. Wait for its end or stop it, or give another folder with run_dir=."
    )


def read_holder(path: Path) -> Holder | None:
    """Return who holds or held a lock; None if there is no record of it, or one that is incomplete."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Holder(**{**content, "process": int(content["process"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _write_holder(path: Path) -> None:
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    holder = Holder(host_name(), os.getpid(), since, boot_id(), os.environ.get("SLURM_JOB_ID", ""))
    write_text(path, json.dumps(asdict(holder), indent=2) + "\n")


def _release(lock: FileLock, place: Path, record: Path) -> None:
    # Removed while the lock is held; filelock does not take a lock on a file that was removed meanwhile.
    for path in (record, place):
        with suppress(OSError):
            path.unlink()
    lock.release()


@contextmanager
def _lock_in_turn(place: Path) -> Iterator[None]:
    record = place.with_suffix(".json")
    lock = _waited_for(place, record)
    if lock is None:
        yield
        return
    try:
        with suppress(InputError):  # the name of the holder is not needed
            _write_holder(record)
        yield
    finally:
        _release(lock, place, record)


def _waited_for(place: Path, record: Path) -> FileLock | None:
    """Wait for the lock, and say so if that takes longer; None where it cannot be had."""
    lock = FileLock(place)
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
