"""Memory that a network takes to score one window, measured in a process of its own.

Run as a program, this module reads {"model": ..., "precision": ..., "device": ...} from standard
input and writes a number of bytes to standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from segkit.bundle.bundle import read_bundle
from segkit.errors import SegkitError
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks.unet import spatial_axes

STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def window_memory(model: Path, *, precision: str, device: torch.device) -> int | None:
    """Return the bytes that the weights and one window take above an idle process.

    None where this cannot be measured: on a CPU, only Linux tells the peak of a process.

    Args:
        model: folder of a bundle.
        precision: float32, bfloat16 or float16.
        device: where to compute.

    Raises:
        SegkitError: the process failed.
    """
    if device.type == "cpu" and not os.access(PEAK_RESET, os.W_OK):
        return None
    request = {"model": str(model), "precision": precision, "device": str(device)}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise SegkitError(f"memory of {model} could not be measured: {message}")
    return int(done.stdout)


def measured_here(model: Path, precision: str, device: torch.device) -> int:
    """Load ``model``, score one window of zeros, and return the bytes that this took at most."""
    before = _memory(device, "VmRSS")
    if device.type == "cpu":
        PEAK_RESET.write_text("5")
    bundle = read_bundle(model)
    plan = bundle.plan
    scorer = WindowScorer(bundle.networks(), plan, device=device, precision=precision, tta=False)
    with torch.inference_mode():
        scorer(
            torch.zeros(1, len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))
        )
    return _memory(device, "VmHWM") - before


def _memory(device: torch.device, name: str) -> int:
    """Return bytes: on a CPU the line ``name`` of the process's status, on a GPU the most held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    """Read the request from standard input, and write the bytes."""
    request = json.load(sys.stdin)
    device = torch.device(request["device"])
    sys.stdout.write(str(measured_here(Path(request["model"]), request["precision"], device)))


if __name__ == "__main__":
    main()
