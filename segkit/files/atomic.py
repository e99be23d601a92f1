"""Atomic writing: an interrupted process leaves no incomplete file under the final name."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segkit.errors import InputError
from segkit.files.processes import has_ended, is_running, process_token


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` when the block succeeds.

    The temporary file is in the same folder and has the same suffixes; it is removed if the block
    raises. The folder is created if it does not exist.

    Raises:
        InputError: the folder cannot be created or written, or the disk is full.
    """
    final = Path(path)
    # Writers choose the format by suffix, and some of them accept it only in lower case.
    suffix = "".join(final.suffixes[-2:]).lower()
    temporary = final.with_name(f".{process_token()}{uuid.uuid4().hex[:8]}{suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        reason = error.strerror or str(error)
        raise unwritable(final, reason[:1].lower() + reason[1:]) from error
    finally:
        _remove(temporary)


REMADE = 200
"""Number of times that a folder is made again which another process has removed as empty."""
TEMPORARY = re.compile(r"\.([0-9a-f]{24})[0-9a-f]{8}(\..*)?")
"""Names of the temporary files of `atomic_path`, which a killed process leaves behind.

The first 24 digits are the `process_token` of the writer; older versions wrote random digits.
"""


def is_leftover(path: Path) -> bool:
    """Return whether ``path`` has the name of an incomplete file of `atomic_path`."""
    return TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(*folders: Path) -> None:
    """Remove the incomplete files directly in ``folders``, which the caller has locked.

    Files of a process that is still running are kept: it may be predicting into the same folder.
    """
    _remove_files(folders, lambda path: is_leftover(path) and not _is_being_written(path))


def remove_leftovers_of_ended(*folders: Path) -> None:
    """Remove incomplete files directly in ``folders`` whose writers on this machine have ended."""
    _remove_files(folders, _is_abandoned)


def _is_being_written(path: Path) -> bool:
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and is_running(match[1])


def _is_abandoned(path: Path) -> bool:
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and has_ended(match[1])


def _remove_files(folders: Sequence[Path], wanted: Callable[[Path], bool]) -> None:
    for folder in folders:
        # A folder that does not exist or cannot be read has nothing to remove.
        with suppress(OSError):
            for path in folder.iterdir():
                if wanted(path) and path.is_file():
                    _remove(path)


def make_folder(folder: Path) -> list[Path]:
    """Create ``folder`` and return the folders that this call created, the innermost first.

    Raises:
        InputError: the folder cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    created: list[Path] = []
    try:
        for path in reversed(missing):
            # Another process made it in the meantime, or removed its empty parent.
            with suppress(FileExistsError, FileNotFoundError):
                path.mkdir()
                created.insert(0, path)
        for _ in range(REMADE):
            # "exist_ok" also fails for a folder that is removed before Python has looked at it.
            with suppress(FileNotFoundError, FileExistsError):
                folder.mkdir(parents=True, exist_ok=True)
                return created
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, (error.strerror or str(error)).lower()) from error
    return created


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # something is wrong with the folder, which the caller has reported
        return


def unwritable(path: str | Path, found: str) -> InputError:
    """Return the error for a file or folder that cannot be written.

    Args:
        path: the file or folder.
        found: the reason, which the message gives after "found".
    """
    return InputError(
        path,
        expected="a place that can be written to",
        found=found,
        remedy="Choose another place, change its permissions, or free some space there.",
    )


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Bytes of file names that are not UTF-8, which Python reads as surrogates, are written as
    escapes, such as ``\\udcff``.

    Raises:
        InputError: as `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
