"""Memory that networks take to score one window, measured in a process of its own.

Run as a program, this module answers requests {"model": ..., "precision": ..., "device": ...}
(`segkit.studies.memory_process`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from segkit.bundle.bundle import read_bundle
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks.unet import spatial_axes
from segkit.studies.memory_process import MemoryProcess, is_measurable, peak_bytes, serve


def window_memory(
    models: Sequence[Path],
    *,
    precision: str,
    device: torch.device,
    seconds: float = math.inf,
) -> list[int | None]:
    """Return for each model the bytes that weights and one window take above an idle process.

    None where this cannot be measured: only Linux tells the peak of a process.

    Args:
        models: folders of bundles.
        precision: float32, bfloat16 or float16.
        device: where to compute.
        seconds: time for all of them, after which the others have None.

    Raises:
        SegkitError: a network could not score the window.
    """
    if not is_measurable(device.type):
        return [None] * len(models)
    end = time.monotonic() + seconds
    found: list[int | None] = []
    with MemoryProcess(__name__, "a window") as process:
        for model in models:
            request = {"model": str(model), "precision": precision, "device": str(device)}
            left = end - time.monotonic()
            limit = None if math.isinf(left) else left
            found.append(process.bytes_of(request, seconds=limit) if left > 0 else None)
    return found


def measured_here(request: dict[str, Any]) -> int:
    """Load a model, score one window of zeros, and return the bytes that this took at most."""
    device = torch.device(request["device"])

    def score() -> None:
        bundle = read_bundle(Path(request["model"]))
        plan, precision = bundle.plan, request["precision"]
        scorer = WindowScorer(
            bundle.networks(), plan, device=device, precision=precision, tta=False
        )
        edges = (plan.patch[axis] for axis in spatial_axes(plan))
        with torch.inference_mode():
            scorer(torch.zeros(1, len(plan.channels), *edges))

    return peak_bytes(score, device, on_gpu=torch.cuda.max_memory_allocated)


if __name__ == "__main__":
    serve(measured_here)
