"""The SQLite file of a search: opened through Optuna, and refused where it does not fit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segkit.errors import InputError, SegkitError
from segkit.files.locks import turn
from segkit.studies.search.optuna_parts import Direction, load_optuna

PATIENCE = 120.0
"""Seconds to wait for another process that writes the file."""
REMEDY = (
    "Remove the file: the same command proposes all points again, and what is trained is not "
    "trained again."
)
UNWRITABLE = (
    "Check that the disk has space, that the file can be written, and that no other program has "
    "opened it; the same command continues."
)


def open_optuna_study(path: Path, name: str, directions: Sequence[Direction], content: str) -> Any:
    """Return the Optuna study ``name`` in a file, which is made if it does not exist.

    Args:
        path: the SQLite file.
        name: name of the study.
        directions: whether each objective is to be large or small.
        content: hash of everything that determines the results of the search.

    Raises:
        InputError: a damaged file, or a study of other content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with turn(path), readable(path):
        study = _open(path, name, directions)
        found = study.user_attrs.get("content")
        if found is None:
            study.set_user_attr("content", content)
    if found not in (None, content):
        raise InputError(
            path,
            expected="a search with these settings, on these data",
            found="one of other settings, of other data, or of another version of segkit",
            remedy="Give another run_dir, or the settings with which the search began.",
        )
    return study


def _open(path: Path, name: str, directions: Sequence[Direction]) -> Any:
    optuna = load_optuna()
    storage = optuna.storages.RDBStorage(
        "sqlite://", engine_kwargs={"creator": lambda: _connection(path)}
    )
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=list(directions),
        sampler=optuna.samplers.RandomSampler(0),  # draws nothing: all points are queued
        load_if_exists=True,
    )


def _connection(path: Path) -> sqlite3.Connection:
    """Return a connection that does not wait until its data are on the disk.

    That takes seconds on a busy one. If a power failure damages the file, it is made again:
    proposals repeat, and trained points have files of their own.
    """
    connection = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise an InputError where SQLite or Optuna cannot read or write the file.

    The block does nothing else. A damaged file can raise anything, such as a KeyError or a
    LookupError, and Optuna wraps errors of SQLite.
    """
    try:
        yield
    except (SegkitError, MemoryError):
        raise
    except Exception as error:
        is_wrapped = type(error).__module__.startswith("optuna.")
        cause = error.__cause__ if is_wrapped and error.__cause__ else error
        raise InputError(
            path,
            expected="the trials of a search, as this study wrote them",
            found=f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}",
            remedy=UNWRITABLE if type(cause).__name__ == "OperationalError" else REMEDY,
        ) from error
