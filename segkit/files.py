"""Writing so that a killed run leaves no half file under the final name."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segkit.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, with the same suffixes; renamed to ``path`` when the block succeeds.

    The folder is made if it does not exist. When the block raises, the temporary file is removed.

    Raises:
        InputError: a folder that cannot be made or written, a full disk.
    """
    final = Path(path)
    # Writers choose the format by suffix, and some know it in lower case only.
    temporary = final.with_name(f".{uuid.uuid4().hex}{''.join(final.suffixes[-2:]).lower()}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        found = error.strerror or str(error)
        raise unwritable(final, found[:1].lower() + found[1:]) from error
    finally:
        _remove(temporary)


TEMPORARY = re.compile(r"\.[0-9a-f]{32}(\..*)?")
"""Names that `atomic_path` gives until a file is complete; a process that was killed leaves them behind."""


def is_leftover(path: Path) -> bool:
    """Whether ``path`` has the name of a file that was not completed."""
    return TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(*folders: Path) -> None:
    """Remove the files right in ``folders`` that killed processes did not complete."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_leftover(path) and path.is_file():
                _remove(path)


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # the folder itself is the trouble, and that is said already
        return


def unwritable(path: str | Path, found: str) -> InputError:
    """The error for a file that cannot be written."""
    return InputError(
        path,
        expected="a place that can be written to",
        found=found,
        remedy="Choose another place, or change its permissions or make room there.",
    )


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
