"""A process that measures the memory of computations, each in a fork of itself.

It imports PyTorch only once, and each fork starts with the same memory. The program is a module
whose ``main`` calls `serve`. It reads a request from a line of standard input, {...}, and writes
{"bytes": ...} to a line of standard output, or {"error": ...}, or {} if memory was too small.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from segkit.errors import SegkitError, is_out_of_memory

STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Request = Mapping[str, Any]
"""Computation to measure, in JSON types."""
Measure = Callable[[dict[str, Any]], int]
"""Function from a request to the bytes that its computation takes."""


def is_measurable(device: str) -> bool:
    """Return whether memory can be measured on ``device``: on Linux, and on its GPUs."""
    return hasattr(os, "fork") and (device == "cuda" or os.access(PEAK_RESET, os.W_OK))


class MemoryProcess:
    """Process that measures memory; leaving its context ends it."""

    def __init__(self, module: str, what: str) -> None:
        """
        Args:
            module: name of the module that is run as the program.
            what: what is computed, for the message of an error.
        """
        self._what = what
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # so that its fork can be ended with it
        )

    def __enter__(self) -> MemoryProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def bytes_of(self, request: Request, *, seconds: float | None = None) -> int | None:
        """Return the bytes that a computation takes, or None if there are too few.

        Args:
            request: what to compute.
            seconds: time after which the result is None; the process must then be left.

        Raises:
            SegkitError: it failed for another reason.
        """
        answer = self._ask(json.dumps(request), seconds)
        if "error" in answer:
            raise SegkitError(f"{self._what} failed: {answer['error']}")
        return int(answer["bytes"]) if answer else None

    def _ask(self, line: str, seconds: float | None) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ValueError("a process without pipes")
        try:
            stdin.write(f"{line}\n")
            stdin.flush()
            if not select.select([stdout], [], [], seconds)[0]:
                return {}
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        found: dict[str, Any] = json.loads(answer) if answer else {"error": self._why_it_ended()}
        return found

    def _why_it_ended(self) -> str:
        """Return that the process has ended, with the last line of its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return ": ".join(["its process has ended", *lines[-1:]])


def peak_bytes(
    run: Callable[[], object],
    device: torch.device,
    *,
    on_gpu: Callable[[torch.device], int] = torch.cuda.max_memory_reserved,
) -> int:
    """Run something for the first time in this process, and return the bytes that it took at most.

    On a CPU it is the largest memory above that of the process before; on a GPU the largest that
    PyTorch has had there.

    Args:
        run: what to run.
        device: where it computes.
        on_gpu: count of a GPU's bytes.
    """
    if device.type == "cuda":
        run()
        return on_gpu(device)
    before = _memory("VmRSS")
    PEAK_RESET.write_text("5")
    run()
    return _memory("VmHWM") - before


def _memory(name: str) -> int:
    """Return the bytes in the line ``name`` of the status of this process."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def serve(measure: Measure) -> None:
    """Answer requests from standard input until it ends."""
    for line in sys.stdin:
        print(json.dumps(_answer_of_fork(line, measure)), flush=True)  # noqa: T201, for the caller


def _answer_of_fork(line: str, measure: Measure) -> dict[str, Any]:
    """Return the answer to a request; {} if the fork was out of memory, or was killed for it."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        with os.fdopen(sender, "w") as pipe:
            pipe.write(json.dumps(_answer(line, measure)))
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    # When memory runs out, the kernel ends a process by SIGKILL, and C++ by SIGABRT.
    if not answer and os.WTERMSIG(status) not in (signal.SIGKILL, signal.SIGABRT):
        return {"error": f"its fork has ended with the code {os.waitstatus_to_exitcode(status)}"}
    found: dict[str, Any] = json.loads(answer or "{}")
    return found


def _answer(line: str, measure: Measure) -> dict[str, Any]:
    try:
        return {"bytes": measure(json.loads(line))}
    except Exception as error:  # the process goes on with the next request
        return {} if is_out_of_memory(error) else {"error": f"{type(error).__name__}: {error}"}
