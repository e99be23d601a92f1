"""ITK's decoders in a process of their own: damaged pixels that end it cost one file, not a night's folder.

The process starts with the first file that needs it and is kept. Run as a module this is that process: it reads a file
and a place for its numbers from each line of standard input, and answers with a line.
"""

# mypy: allow-untyped-calls
# (SimpleITK has no annotations)

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Timer
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name its own manual uses)
from numpy.typing import NDArray

SECONDS = 120.0
"""No image takes as long."""
_DONE = "done"
_LOCK = Lock()


@dataclass
class _Running:
    """The process of this process: one that was forked has none."""

    process: subprocess.Popen[str] | None = None
    owner: int = 0


_RUNNING = _Running()


def decode(file: Path) -> NDArray[Any]:
    """Return the numbers of a DICOM file as ITK decodes them; something is written beside it.

    Raises:
        RuntimeError: ITK cannot decode it, or has ended or hung over it.
    """
    place = file.with_suffix(".npy")
    line = json.dumps([str(file), str(place)]) + "\n"
    with _LOCK:
        answer = _asked(line)
    if answer != _DONE:
        raise RuntimeError(answer)
    return np.asarray(np.load(place, allow_pickle=False))


def _asked(line: str) -> str:
    process = _process()
    timer = Timer(SECONDS, process.kill)
    timer.start()
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the decoder has no pipes")
        process.stdin.write(line)
        process.stdin.flush()
        answer = process.stdout.readline().strip()
    except OSError:  # it ended between two files
        answer = ""
    finally:
        timer.cancel()
    if answer:
        return str(json.loads(answer))
    end()
    return "the decoder's process ended over it"


def _process() -> subprocess.Popen[str]:
    running = _RUNNING.process
    if running is not None and _RUNNING.owner == os.getpid() and running.poll() is None:
        return running
    end()
    words = [sys.executable, "-m", __name__]
    pipe = subprocess.PIPE
    started = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    if running is None:
        atexit.register(end)
    _RUNNING.process, _RUNNING.owner = started, os.getpid()
    return started


def end() -> None:
    """End the process; the next file starts another."""
    process = _RUNNING.process
    if process is None or _RUNNING.owner != os.getpid():
        return
    process.kill()
    with suppress(OSError):  # what was not yet sent to a process that is gone
        process.communicate()
    _RUNNING.process = None


def serve() -> None:
    """Decode the files that standard input names, until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what ITK prints is no answer
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for line in sys.stdin:
        file, place = json.loads(line)
        try:
            np.save(place, sitk.GetArrayFromImage(sitk.ReadImage(file, imageIO="GDCMImageIO")))
            answer = _DONE
        except (RuntimeError, ValueError, OSError) as error:
            answer = str(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
