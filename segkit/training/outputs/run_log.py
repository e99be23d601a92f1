"""train.log in the folder of a run: what the log and the line of progress have said, with the time of each line."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from segkit.errors import SegkitError, printable
from segkit.progress import STATUS_LOG

log = logging.getLogger(__name__)

LOG = "train.log"
MOST_EARLY = 10_000
"""Lines that are kept until the folder is known."""


class RunLog(logging.Handler):
    """Keeps lines until the folder of the run is known, then appends them to its train.log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Timed())
        self.early: deque[str] = deque(maxlen=MOST_EARLY)
        self.file: TextIO | None = None

    def emit(self, record: logging.LogRecord) -> None:
        root, last = logging.getLogger(), logging.lastResort
        if root.handlers == [self] and last is not None and record.levelno >= last.level:
            last.handle(
                record
            )  # without a log of their own, users of the library see warnings all the same
        self.early.append(self.format(record))
        self._write()

    def open_in(self, folder: Path) -> None:
        """Write what came so far, and from now on everything, to ``folder``; if that cannot be, only warn."""
        try:
            self.file = (folder / LOG).open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            log.warning("%s cannot be written: %s", folder / LOG, error.strerror or error)
        self._write()

    def shut(self) -> None:
        """Write to that folder no more."""
        if self.file is not None:
            file, self.file = self.file, None
            file.close()

    def _write(self) -> None:
        while self.file is not None and self.early:
            try:
                self.file.write(f"{self.early.popleft()}\n")
                self.file.flush()
            except OSError:  # a full disk ends the log, not the training
                self.file = None


class _Timed(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's name
        kind = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"{record.asctime} {kind}{printable(record.message, lines=True)}"


@contextmanager
def early_messages() -> Iterator[None]:
    """Keep what is said within the block for the train.log of the run that `run_log` names in it."""
    with _attached(RunLog()):
        yield


@contextmanager
def run_log(folder: Path) -> Iterator[None]:
    """Append to folder/train.log what is said within the block, and the error that ends it."""
    kept = next((each for each in logging.getLogger().handlers if isinstance(each, RunLog)), None)
    if kept is None:
        with _attached(RunLog()), run_log(folder):
            yield
        return
    kept.open_in(folder)
    try:
        yield
    except BaseException as error:
        _say_end(kept, error)
        raise
    finally:
        kept.shut()


@contextmanager
def _attached(kept: RunLog) -> Iterator[None]:
    loggers = (logging.getLogger(), STATUS_LOG)
    for each in loggers:
        each.addHandler(kept)
    try:
        yield
    finally:
        for each in loggers:
            each.removeHandler(kept)


def _say_end(kept: RunLog, error: BaseException) -> None:
    """The command line prints an error after all logs are closed."""
    if isinstance(error, SegkitError):
        words = str(error)
    elif isinstance(error, Exception):
        words = "".join(traceback.format_exception(error)).rstrip()
    else:
        words = "stopped"
    kept.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, words, None, None))
