"""The command line: the table of verbs, the log, and the exit codes of errors.

Only the standard library is imported here, so that help appears without delay. The module of a
verb is imported when the verb is typed; no other module of the package imports this way.
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
from segkit.commands.first_words import own_words
from segkit.errors import (
    InputError,
    OutOfMemoryError,
    SegkitError,
    UsageError,
    is_out_of_memory,
    printable,
)
from segkit.files.processes import SIGNAL_CODES, ended_in_order
from segkit.progress import WIPE, StatusLine

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("train and predict on phantom scans, to see how segkit works", "segkit.commands.demo"),
    "check": ("find the problems of a dataset before training", "segkit.commands.check"),
    "plan": ("measure a dataset and choose how to train on it", "segkit.commands.plan"),
    "train": ("train a model on a dataset", "segkit.commands.train"),
    "study": ("several trainings for one question: folds, norms, tickets", "segkit.commands.study"),
    "prune": ("make a trained model smaller and faster, and retrain it", "segkit.commands.prune"),
    "predict": ("segment scans with a trained model", "segkit.commands.predict"),
    "calibrate": ("fit the expected Dice of a trained model", "segkit.commands.calibrate"),
    "evaluate": ("compare label maps with reference label maps", "segkit.commands.evaluate"),
    "harmonize": (
        "remove differences between scanners and sites from scans and tables",
        "segkit.commands.harmonize",
    ),
    "info": ("describe a model, a study, a plan or a scan", "segkit.commands.info"),
    "export": ("write a model as one file to share, or OpenVINO or ONNX", "segkit.commands.export"),
    "models": ("list the models that predict -m finds by name", "segkit.commands.models"),
    "descriptor": ("print what a platform reads to run the image", "segkit.commands.descriptor"),
    "run-as": ("segment what a platform has put into the container", "segkit.commands.run_as"),
    "doctor": ("say whether this machine can predict, and what to do", "segkit.commands.doctor"),
}

SPIN_COUNT = "10000"
"""Number of turns for which a thread spins before it sleeps: some tens of microseconds."""
_PATH_ERRORS = ("EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ENOTDIR", "ELOOP")
_DISK_ERRORS = ("ENOSPC", "EDQUOT", "EFBIG", "EIO")
SYSTEM_ERRORS = {getattr(errno, name, None) for name in (*_PATH_ERRORS, *_DISK_ERRORS)} - {None}
"""Error numbers with which the operating system refuses a path or a disk."""
LONGEST_PATH = 200
"""Number of characters of a path that a message shows."""
INTERRUPTED = SIGNAL_CODES + 2
"""Exit code after Ctrl-C, as shells report it."""
PIPE_CLOSED = SIGNAL_CODES + 13
"""Exit code if the program that reads standard output has ended, as shells report it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code (see `segkit.errors`).

    Args:
        arguments: the verb and its arguments; None takes those of the process.
    """
    _set_thread_waiting()
    if arguments is not None:
        segkit.progress.restart_clock()
    _open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file is printed with the bytes that it has.
        sys.stdout.reconfigure(errors="surrogateescape")
    words = own_words(sys.argv[1:] if arguments is None else arguments, VERBS)
    json_lines = "--json-log" in words
    with log_to_stderr(json_lines=json_lines), ended_in_order():
        try:
            code = _dispatch([word for word in words if word != "--json-log"])
            sys.stdout.flush()
        except SystemExit as stop:
            code = _code_of(stop)
            if code > SIGNAL_CODES:
                _fail("stopped", code, json_lines=json_lines)
        except BrokenPipeError:
            code = _pipe_closed()
        except KeyboardInterrupt:
            code = _fail("stopped", INTERRUPTED, json_lines=json_lines)
        except SegkitError as error:
            code = _fail(str(error), error.exit_code, json_lines=json_lines)
        except OSError as error:
            code = _refused_by_system(error, json_lines=json_lines)
        except Exception as error:
            code = _unexpected(error, json_lines=json_lines)
    return code


def _open_streams() -> None:
    """Open the streams that the caller has closed (``>&-``).

    Otherwise the next file that segkit opens would get the number of standard output.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115


def _set_thread_waiting() -> None:
    """Let threads that wait for each other spin, but not for long; torch reads this when imported.

    If they spin without limit, a step takes ten times as long as soon as another program needs a
    core. If they sleep immediately, a step of a small network takes a third longer on an idle
    machine, because waking up takes time. GNU's OpenMP, which PyTorch brings on Linux, takes a
    number; others only know the policy.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


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
    """Return the text that ``segkit --help`` prints."""
    rows = "".join(f"  {verb:<12}{text}\n" for verb, (text, _) in VERBS.items())
    return (
        "usage: segkit VERB [...]        segkit VERB --help for details\n\n"
        f"{rows}\n"
        "  --version   print the version of segkit\n"
        "  --json-log  with any verb: write the log on standard error as JSON lines\n\n"
        "exit codes: 0 ok, 1 failed, 2 usage, 3 bad input, 4 out of memory, "
        "5 some cases of many failed\n"
    )


def _unknown_verb(verb: str) -> str:
    near = difflib.get_close_matches(verb, VERBS, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Verbs: {', '.join(VERBS)}."
    kind = "option" if verb.startswith("-") else "verb"
    return f"unknown {kind} {verb!r}. {hint}"


def _fail(message: str, code: int, *, json_lines: bool) -> int:
    """Print an error and return its exit code."""
    if json_lines:
        message = _json_line("ERROR", "segkit", message, exit_code=code)
    else:
        message = printable(
            f"segkit: {'error: ' if code < SIGNAL_CODES else ''}{message}", lines=True
        )
    print(message, file=sys.stderr, flush=True)
    return code


def _unexpected(error: Exception, *, json_lines: bool) -> int:
    if is_out_of_memory(error):
        message = (
            f"out of memory ({_first_line(error)}). "
            "Free memory. A training takes less with trainer.save_memory=true or with a smaller "
            "plan.memory, plan.patch or trainer.batch_size; a prediction with a lower "
            "--max-memory, or of a cropped scan."
        )
        return _fail(message, OutOfMemoryError.exit_code, json_lines=json_lines)
    trace = "".join(traceback.format_exception(error))
    if json_lines:
        message = f"a bug in segkit, please report it: {trace}"
        return _fail(message, 1, json_lines=json_lines)
    sys.stderr.write(trace)
    message = "this is a bug in segkit: please report it with the lines above"
    return _fail(message, 1, json_lines=json_lines)


def _refused_by_system(error: OSError, *, json_lines: bool) -> int:
    """Print what the system says about a path or a disk; any other error is a bug to report."""
    if error.errno not in SYSTEM_ERRORS:
        return _unexpected(error, json_lines=json_lines)
    if error.filename is None:
        _discard_output()  # perhaps it is standard output that cannot be written
    name = printable(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""
    short = name if len(name) <= LONGEST_PATH else f"{name[:LONGEST_PATH]}..."
    start = f"{short}: " if short else ""
    reason = error.strerror or str(error)
    message = f"{start}the system says: {reason}. Check the path, its permissions and the disk."
    return _fail(message, InputError.exit_code, json_lines=json_lines)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _code_of(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _pipe_closed() -> int:
    _discard_output()
    return PIPE_CLOSED


def _discard_output() -> None:
    """Discard what Python flushes to standard output at exit: the pipe or the disk is broken."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class JsonLines(logging.Formatter):
    """Log format of one JSON object per line: time (UTC seconds), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return _json_line(record.levelname, record.name, message, time=round(record.created, 3))


def _json_line(level: str, logger: str, message: str, **more: Any) -> str:
    return json.dumps(
        {"level": level, "logger": logger, "message": message, **more}, ensure_ascii=False
    )


class _PlainLines(logging.Formatter):
    """Log format of the bare message, with the level in front of warnings and errors."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable(super().format(_with_names_in_one_line(record)), lines=True)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        # A status line may be shown in this line of the terminal.
        return WIPE + text if sys.stderr.isatty() else text


def _with_names_in_one_line(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record with control characters and line ends escaped in the names it was given.

    A whole message that is passed on as ``%s`` may have several lines.
    """
    if not isinstance(record.args, tuple) or record.msg == "%s":
        return record
    copy = logging.makeLogRecord(record.__dict__)
    copy.args = tuple(
        printable(str(value)) if isinstance(value, str | os.PathLike) else value
        for value in record.args
    )
    return copy


@contextmanager
def log_to_stderr(*, json_lines: bool = False) -> Iterator[None]:
    """Send the log and Python's warnings to standard error, as text or JSON lines.

    Messages of segkit are shown from INFO on, those of libraries from WARNING on.
    """
    handler: logging.StreamHandler[TextIO] = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else _PlainLines())
    StatusLine.as_log = json_lines
    root, segkit_log = logging.getLogger(), logging.getLogger("segkit")
    levels = root.level, segkit_log.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    segkit_log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        StatusLine.as_log = False
        root.removeHandler(handler)
        root.setLevel(levels[0])
        segkit_log.setLevel(levels[1])
