"""Undo a start that fails: the run folder is left as it was.

The files and folders that may be removed or restored are listed one by one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.files.names import CARD, STUDY
from segkit.networks.mask_file import MASK
from segkit.training.data.split import SPLIT
from segkit.training.outputs.checkpoint import LAST, NONE_YET
from segkit.training.outputs.rewind import REWIND
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS, CONFIG, FOLDS, PLAN
from segkit.training.outputs.run_log import LOG
from segkit.training.outputs.trackers import MLFLOW_RUN, TENSORBOARD
from segkit.training.transfer import WEIGHTS

log = logging.getLogger(__name__)

START_FILES = (
    *(CONFIG, PLAN, FOLDS, STUDY, SPLIT, WEIGHTS, MASK, REWIND, MLFLOW_RUN, LOG),
    f"{CHECKPOINTS}/{NONE_YET}",
)
"""Files that a run writes before its first step; a log that already existed keeps its new lines."""
START_FOLDERS = (f"{BUNDLE}/weights", BUNDLE, CHECKPOINTS, TENSORBOARD)
"""Folders that a run makes, each before its parent."""
RESULTS = (f"{BUNDLE}/{CARD}", f"{CHECKPOINTS}/{LAST}")
"""Files with which a run has a result, so that all its files stay."""


@contextmanager
def undo_failed_start(
    folder: Path, results: Callable[[], object] | None = None, *, files: Sequence[str] = START_FILES
) -> Iterator[None]:
    """If the block fails before ``results`` change, restore the files of the start.

    Files that existed keep their bytes, new ones are removed, and so are folders that are left
    empty. Nothing else in ``folder`` is touched.

    Args:
        folder: folder of a run or study; the caller has locked it.
        results: function whose value changes once the block has a result; by default the state of
            bundle and checkpoint.
        files: names of the files of the start.
    """
    results = results or (lambda: [_signature(folder / name) for name in RESULTS])
    paths = [folder / name for name in files]
    contents_before = {path: _content(path) for path in paths if _is_restorable(path)}
    new_folders = [folder / name for name in START_FOLDERS if not (folder / name).exists()]
    events_before = set(_own_events(folder))
    results_before = results()
    try:
        yield
    except BaseException:
        if results() == results_before:
            for path, content in contents_before.items():
                _restore(path, content)
            new_events = [path for path in _own_events(folder) if path not in events_before]
            _remove(new_events, new_folders)
        raise


def _is_restorable(path: Path) -> bool:
    """Return whether the bytes of ``path`` are kept during a training, or that it has none.

    A rewind file is as large as the model, and the same run writes the same one again.
    """
    return not path.exists() or (path.name != REWIND and os.access(path, os.R_OK))


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _own_events(folder: Path) -> list[Path]:
    """Return the files that TensorBoard wrote in this process; their names hold its number."""
    return list((folder / TENSORBOARD).glob(f"events.out.tfevents.*.{os.getpid()}.*"))


def _restore(path: Path, content: bytes | None) -> None:
    try:
        if content is None:
            path.unlink(missing_ok=True)
        elif path.name != LOG and _content(path) != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    except (OSError, InputError) as error:
        log.warning("%s could not be restored: %s", path, error)


def _remove(files: Sequence[Path], folders: Sequence[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()
    for folder in folders:
        with suppress(OSError):  # not empty, or was not made
            folder.rmdir()
