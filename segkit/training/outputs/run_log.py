"""train.log in the run folder: log messages and status lines, each with its time."""

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
MAX_EARLY_LINES = 10_000
"""Largest number of lines that are kept in memory until the folder is known."""


class RunLog(logging.Handler):
    """Keeps lines until the folder of the run is known, then appends them to its train.log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Timed())
        self.early: deque[str] = deque(maxlen=MAX_EARLY_LINES)
        self.file: TextIO | None = None

    def emit(self, record: logging.LogRecord) -> None:
        root, last = logging.getLogger(), logging.lastResort
        if root.handlers == [self] and last is not None and record.levelno >= last.level:
            # This handler must not hide warnings from users who have not configured logging.
            last.handle(record)
        self.early.append(self.format(record))
        self._write()

    def open_in(self, folder: Path) -> None:
        """Write all lines, earlier ones too, to folder/train.log; warn if it cannot be opened."""
        try:
            self.file = (folder / LOG).open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            log.warning("%s cannot be written: %s", folder / LOG, error.strerror or error)
        self._write()

    def close_file(self) -> None:
        """Stop writing to that folder."""
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
    """Keep the messages of the block for the train.log that `run_log` opens in it."""
    with _attached(RunLog()):
        yield


@contextmanager
def run_log(folder: Path) -> Iterator[None]:
    """Append the messages of the block, and the error that ends it, to folder/train.log."""
    handlers = logging.getLogger().handlers
    handler = next((handler for handler in handlers if isinstance(handler, RunLog)), None)
    if handler is None:
        with _attached(RunLog()), run_log(folder):
            yield
        return
    handler.open_in(folder)
    try:
        yield
    except BaseException as error:
        _log_end(handler, error)
        raise
    finally:
        handler.close_file()


@contextmanager
def _attached(handler: RunLog) -> Iterator[None]:
    loggers = (logging.getLogger(), STATUS_LOG)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _log_end(handler: RunLog, error: BaseException) -> None:
    """Log an error here: the command line prints it after all logs are closed."""
    if isinstance(error, SegkitError):
        message = str(error)
    elif isinstance(error, Exception):
        message = "".join(traceback.format_exception(error)).rstrip()
    else:
        message = "stopped"
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, None, None)
    handler.handle(record)
