"""Run ITK's decoders in a process of their own, so that damaged pixels cannot end a prediction.

If ITK crashes over a file, only this file is lost, and not the rest of a folder. The process starts
with the first file that needs it and is kept. Run as a module, this file is that process: each line
of standard input names a DICOM file and a file for its numbers, and is answered with one line.
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
"""Time after which the process is killed; no image takes as long."""
_DONE = "done"
_LOCK = Lock()


@dataclass
class _Decoder:
    """The decoder process, and the ID of the process that started it.

    A forked process inherits this object, but must not use the decoder of its parent.
    """

    process: subprocess.Popen[str] | None = None
    owner: int = 0


_DECODER = _Decoder()


def decode(file: Path) -> NDArray[Any]:
    """Return the stored numbers of a DICOM file as ITK decodes them.

    A file with the same name and the suffix .npy is written beside it.

    Raises:
        RuntimeError: ITK cannot decode the file, or crashed or hung over it.
    """
    numbers = file.with_suffix(".npy")
    request = json.dumps([str(file), str(numbers)]) + "\n"
    with _LOCK:
        answer = _answer_to(request)
    if answer != _DONE:
        raise RuntimeError(answer)
    return np.asarray(np.load(numbers, allow_pickle=False))


def _answer_to(request: str) -> str:
    process = _running_process()
    timer = Timer(SECONDS, process.kill)
    timer.start()
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the decoder has no pipes")
        process.stdin.write(request)
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


def _running_process() -> subprocess.Popen[str]:
    """Return the decoder process of this process; start it if there is none."""
    process = _DECODER.process
    if process is not None and _DECODER.owner == os.getpid() and process.poll() is None:
        return process
    end()
    started = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if process is None:
        atexit.register(end)
    _DECODER.process, _DECODER.owner = started, os.getpid()
    return started


def end() -> None:
    """End the decoder process; the next file starts a new one."""
    process = _DECODER.process
    if process is None or _DECODER.owner != os.getpid():
        return
    process.kill()
    with suppress(OSError):  # a request that was not yet sent to a process that has ended
        process.communicate()
    _DECODER.process = None


def serve() -> None:
    """Decode the files that standard input names, until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what ITK prints must not be read as an answer
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for line in sys.stdin:
        file, numbers = json.loads(line)
        try:
            np.save(numbers, sitk.GetArrayFromImage(sitk.ReadImage(file, imageIO="GDCMImageIO")))
            answer = _DONE
        except (RuntimeError, ValueError, OSError) as error:
            answer = str(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
