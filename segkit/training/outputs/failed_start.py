"""A start that fails leaves the folder of a run as it was: what it may remove or restore is listed file by file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.files.names import CARD
from segkit.training.data.split import SPLIT
from segkit.training.outputs.checkpoint import LAST, NONE_YET
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS, CONFIG, FOLDS, PLAN
from segkit.training.outputs.run_log import LOG
from segkit.training.outputs.trackers import MLFLOW_RUN, TENSORBOARD
from segkit.training.transfer import WEIGHTS

log = logging.getLogger(__name__)

START_FILES = (CONFIG, PLAN, FOLDS, SPLIT, WEIGHTS, MLFLOW_RUN, LOG, f"{CHECKPOINTS}/{NONE_YET}")
"""Files that a run writes before its first step; of these a log that was there keeps what was added to it."""
START_FOLDERS = (f"{BUNDLE}/weights", BUNDLE, CHECKPOINTS, TENSORBOARD)
"""Folders that a run makes, each before the one that holds it."""
RESULTS = (f"{BUNDLE}/{CARD}", f"{CHECKPOINTS}/{LAST}")
"""With one of these a run has begun to give something, and all its files stay."""


@contextmanager
def undone_without_result(
    folder: Path, results: Callable[[], object] | None = None, *, files: Sequence[str] = START_FILES
) -> Iterator[None]:
    """If the block fails before ``results`` change, put the files of the start back to what they were.

    Files that were there keep their bytes, those that were not are removed, and so are folders that are left empty.
    Nothing else in ``folder`` is touched.

    Args:
        folder: of a run or study, of which the caller has the sole use.
        results: what says whether the block has given something; by default the bundle and the checkpoint.
        files: names of the files of the start.
    """
    results = results or (lambda: [_signature(folder / name) for name in RESULTS])
    paths = [folder / name for name in files]
    before = {
        path: _content(path) for path in paths if not path.exists() or os.access(path, os.R_OK)
    }
    missing = [folder / name for name in START_FOLDERS if not (folder / name).exists()]
    events = set(_own_events(folder))
    given = results()
    try:
        yield
    except BaseException:
        if results() == given:
            for path, content in before.items():
                _put_back(path, content)
            _remove([path for path in _own_events(folder) if path not in events], missing)
        raise


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _own_events(folder: Path) -> list[Path]:
    """Files that TensorBoard wrote in this process, whose number is part of their names."""
    return list((folder / TENSORBOARD).glob(f"events.out.tfevents.*.{os.getpid()}.*"))


def _put_back(path: Path, content: bytes | None) -> None:
    try:
        if content is None:
            path.unlink(missing_ok=True)
        elif path.name != LOG and _content(path) != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    except (OSError, InputError) as error:
        log.warning("%s could not be put back to what it was: %s", path, error)


def _remove(files: Sequence[Path], folders: Sequence[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()
    for folder in folders:
        with suppress(OSError):  # not empty, or never made
            folder.rmdir()
