"""Load models as a prediction does, and estimate what it costs (needs torch)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from segkit.doctor.models import FoundModel, unusable
from segkit.doctor.problem import Problem
from segkit.errors import SegkitError
from segkit.inference.loading import read_models
from segkit.inference.scan_cost import ScanCost, scan_cost
from segkit.units import size_text


def tried(
    models: Sequence[FoundModel], device: str, free: int | None
) -> Iterator[tuple[FoundModel, ScanCost | None]]:
    """Yield each model with the cost of a scan; a model that cannot be used has a problem.

    Args:
        models: models whose files were examined.
        device: device of the predictions.
        free: bytes of memory that are free; None if they are unknown.
    """
    level = logging.getLogger("segkit").level
    logging.getLogger("segkit").setLevel(logging.ERROR)
    try:
        for model in models:
            yield _tried(model, device, free)
    finally:
        logging.getLogger("segkit").setLevel(level)


def _tried(model: FoundModel, device: str, free: int | None) -> tuple[FoundModel, ScanCost | None]:
    if model.problem or model.path is None:
        return model, None
    try:
        cost = scan_cost(read_models(model.path), device=device)
    except (SegkitError, OSError) as error:
        return unusable(model, error), None
    if free is not None and cost.least_memory > free:
        return replace(model, problem=memory_problem(model.name, cost, free)), cost
    return model, cost


def memory_problem(name: str, cost: ScanCost, free: int) -> Problem:
    """Return the problem of a model whose scans need more memory than is free."""
    size = " x ".join(map(str, cost.shape))
    return Problem(
        "error",
        "model_memory",
        f"model {name}",
        f"{size_text(cost.least_memory)} of free memory, for a scan of {size} voxels as in its"
        " training",
        size_text(free),
        "Use a machine with more memory, raise the limit of the container or job, or crop the"
        " scans.",
    )
