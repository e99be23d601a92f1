"""Run ITK's decoders in a separate process, so that damaged pixels cannot crash a prediction.

If ITK crashes on a file, only this file is lost, not the rest of a folder. The process starts with
the first file that needs it and keeps running. This module, run as a program, is that process: each
line of standard input names a DICOM file and an output file for its numbers, and it answers each
with one line.
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
"""Time in seconds after which the process is killed; no image takes that long."""
_DONE = "done"
_LOCK = Lock()


@dataclass
class _Decoder:
    """Decoder process, and the ID of the process that started it.

    A forked process inherits this object but must not use the decoder of its parent.
    """

    process: subprocess.Popen[str] | None = None
    owner: int = 0


_DECODER = _Decoder()


def decode(file: Path) -> NDArray[Any]:
    """Return the stored numbers of a DICOM file as ITK decodes them.

    They are also written next to it, to a file of the same name with the suffix .npy.

    Raises:
        RuntimeError: ITK cannot decode the file, or crashed or hung.
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
    except OSError:  # the process ended after the previous file
        answer = ""
    finally:
        timer.cancel()
    if answer:
        return str(json.loads(answer))
    end()
    return "the decoder crashed or took too long"


def _running_process() -> subprocess.Popen[str]:
    """Return the decoder process of this process; start it if there is none."""
    process = _DECODER.process
    if process is not None and _DECODER.owner == os.getpid() and process.poll() is None:
        return process
    first = process is None
    end()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if first:
        atexit.register(end)
    _DECODER.process, _DECODER.owner = process, os.getpid()
    return process


def end() -> None:
    """End the decoder process; the next file starts a new one."""
    process = _DECODER.process
    if process is None or _DECODER.owner != os.getpid():
        return
    process.kill()
    with suppress(OSError):  # the process ended before it received a buffered request
        process.communicate()
    _DECODER.process = None


def serve() -> None:
    """Decode the files named on standard input until it is closed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the parent would read ITK's own output as an answer
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
