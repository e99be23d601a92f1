"""The command line: a table of verbs, the log, and errors as exit codes. Standard library only, so help is at once.

A verb's module is imported when the verb is typed; nothing else in the package imports this way.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import segkit.progress
from segkit._version import __version__
from segkit.errors import InputError, OutOfMemoryError, SegkitError, UsageError, printable
from segkit.files.processes import SIGNAL_CODES, ended_in_order
from segkit.progress import WIPE, StatusLine

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("phantom data, train, predict, evaluate: see it work", "segkit.commands.demo"),
    "check": ("is this dataset sound? a table of problems", "segkit.commands.check"),
    "plan": ("measure a dataset, decide, print the plan and write it", "segkit.commands.plan"),
    "train": ("train a model on a dataset", "segkit.commands.train"),
    "study": ("many trainings and one answer, such as a cross-validation", "segkit.commands.study"),
    "predict": ("scans in, label maps out", "segkit.commands.predict"),
    "evaluate": ("compare label maps with references", "segkit.commands.evaluate"),
    "info": ("what is this model, plan or scan?", "segkit.commands.info"),
    "export": ("a model as one file to share, or for OpenVINO", "segkit.commands.export"),
    "models": ("the models that predict -m finds by name", "segkit.commands.models"),
}

SPINS = "10000"
"""Some tens of microseconds."""
_OF_THE_SYSTEM = (
    "EACCES",
    "EPERM",
    "EROFS",
    "ENOSPC",
    "EDQUOT",
    "EFBIG",
    "EIO",
    "ENAMETOOLONG",
    "ENOTDIR",
    "ELOOP",
)
NOT_OURS = {getattr(errno, name) for name in _OF_THE_SYSTEM if hasattr(errno, name)}
"""Errors of the system that say something about a path or a disk."""
LONGEST_NAME = 200
INTERRUPTED = SIGNAL_CODES + 2
PIPE_CLOSED = SIGNAL_CODES + 13
"""What shells report for a program that a signal ended: Ctrl-C, a closed pipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code (see ``segkit.errors``)."""
    _let_threads_wait()
    if arguments is not None:
        segkit.progress.restart_clock()
    _open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="surrogateescape"
        )  # a file's name goes out with the bytes that it has
    words = list(sys.argv[1:] if arguments is None else arguments)
    json_lines = "--json-log" in words
    with log_to_stderr(json_lines), ended_in_order():
        try:
            code = _dispatch([word for word in words if word != "--json-log"])
            sys.stdout.flush()
        except SystemExit as stop:
            code = _code_of(stop)
            if code > SIGNAL_CODES:
                _fail("stopped", code, json_lines)
        except BrokenPipeError:
            code = _pipe_closed()
        except KeyboardInterrupt:
            code = _fail("stopped", INTERRUPTED, json_lines)
        except SegkitError as error:
            code = _fail(str(error), error.exit_code, json_lines)
        except OSError as error:
            code = _refused_by_system(error, json_lines)
        except Exception as error:
            code = _unexpected(error, json_lines)
    return code


def _open_streams() -> None:
    """Open what the caller has closed (``>&-``), so that no file of ours gets the number of standard output."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115


def _let_threads_wait() -> None:
    """Say, before torch is imported, how threads wait for each other: by spinning, but not for long.

    If they spin for as long as they like, a step takes ten times as long as soon as another program wants a core; if
    they sleep at once, a step of a small network takes a third longer on a quiet machine, for waking up. GNU's OpenMP,
    which PyTorch brings on Linux, takes a number; others know the policy only.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def _dispatch(words: list[str]) -> int:
    if not words:
        sys.stderr.write(help_text())
        return UsageError.exit_code
    verb, *rest = words
    if verb in ("-h", "--help", "help"):
        print(help_text(), end="")
        return 0
    if verb == "--version":
        print(f"segkit {__version__}")
        return 0
    if verb not in VERBS:
        raise UsageError(_unknown_verb(verb))
    code = importlib.import_module(VERBS[verb][1]).run(rest)
    return int(code)


def help_text() -> str:
    """What ``segkit --help`` prints."""
    rows = "".join(f"  {verb:<10}{text}\n" for verb, (text, _) in VERBS.items())
    return (
        "usage: segkit VERB [...]        segkit VERB --help says more\n\n"
        f"{rows}\n"
        "  --version   the version of segkit\n"
        "  --json-log  with any verb: log lines on standard error as JSON\n\n"
        "exit codes: 0 ok, 1 failed, 2 usage, 3 bad input, 4 out of memory, 5 some cases of many failed\n"
    )


def _unknown_verb(verb: str) -> str:
    near = difflib.get_close_matches(verb, VERBS, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Verbs: {', '.join(VERBS)}."
    kind = "option" if verb.startswith("-") else "verb"
    return f"unknown {kind} {verb!r}. {hint}"


def _fail(message: str, code: int, json_lines: bool) -> int:
    if json_lines:
        message = _json_line("ERROR", "segkit", message, exit_code=code)
    else:
        message = printable(
            f"segkit: {'error: ' if code < SIGNAL_CODES else ''}{message}", lines=True
        )
    print(message, file=sys.stderr, flush=True)
    return code


def _unexpected(error: Exception, json_lines: bool) -> int:
    if out_of_memory(error):
        message = f"out of memory ({_first_line(error)}). Free memory, or use a smaller patch, batch or scan."
        return _fail(message, OutOfMemoryError.exit_code, json_lines)
    trace = "".join(traceback.format_exception(error))
    if json_lines:
        return _fail(f"a bug in segkit, please report it: {trace}", 1, json_lines)
    sys.stderr.write(trace)
    return _fail("this is a bug in segkit: please report it with the lines above", 1, json_lines)


def _refused_by_system(error: OSError, json_lines: bool) -> int:
    """Say what the system said of a path or a disk, which is nothing to report; other errors are."""
    if error.errno not in NOT_OURS:
        return _unexpected(error, json_lines)
    if error.filename is None:
        _drop_output()  # it may be standard output that cannot be written
    name = printable(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""
    short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    place, found = f"{short}: " if short else "", error.strerror or str(error)
    return _fail(
        f"{place}the system says: {found}. Check the path, its permissions and the disk.",
        InputError.exit_code,
        json_lines,
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy or torch ran out of memory; known by name, because torch is not imported here."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error)
        for words in ("can't allocate memory", "not enough memory", "CUDA out of memory")
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _code_of(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _pipe_closed() -> int:
    _drop_output()
    return PIPE_CLOSED


def _drop_output() -> None:
    """Python flushes standard output once more at exit and would complain about the same pipe or disk."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC seconds), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return _json_line(record.levelname, record.name, message, time=round(record.created, 3))


def _json_line(level: str, logger: str, message: str, **more: Any) -> str:
    return json.dumps(
        {"level": level, "logger": logger, "message": message, **more}, ensure_ascii=False
    )


class _Words(logging.Formatter):
    """The bare message; warnings and errors say what they are."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable(super().format(_with_names_in_one_line(record)), lines=True)
        # A status line may stand there.
        start = WIPE if sys.stderr.isatty() else ""
        return start + (
            text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"
        )


def _with_names_in_one_line(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record with control characters, ends of lines too, escaped in the names that a message was given.

    A whole message that is passed on as ``%s`` may have several lines.
    """
    if not isinstance(record.args, tuple) or record.msg == "%s":
        return record
    copy = logging.makeLogRecord(record.__dict__)
    copy.args = tuple(
        printable(str(each)) if isinstance(each, str | os.PathLike) else each
        for each in record.args
    )
    return copy


@contextmanager
def log_to_stderr(json_lines: bool = False) -> Iterator[None]:
    """Send the log, and Python's warnings, to standard error: segkit from INFO on, libraries from WARNING on."""
    handler: logging.StreamHandler[TextIO] = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else _Words())
    StatusLine.as_log = json_lines
    root, own = logging.getLogger(), logging.getLogger("segkit")
    levels = root.level, own.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    own.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        StatusLine.as_log = False
        root.removeHandler(handler)
        root.setLevel(levels[0])
        own.setLevel(levels[1])
