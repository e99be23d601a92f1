"""Rates of this machine: how memory and seconds follow from counts, from a few measured networks.

They are measured once for a study and kept in rates.json, so that the same command continues with
the same networks.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from segkit.config.schema import TrainerConfig
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.plans.convolutions import convolutions
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.costs import (
    BYTES_PER_PARAMETER,
    Line,
    Rates,
    output_elements,
)
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.measured import MeasuredCost, measured_cost

log = logging.getLogger(__name__)

RATES = "rates.json"
EXPONENTS = (-3.0, -2.0, -1.0, 0.0)
"""Exponents of the networks that are measured; those that there are."""
USUAL_MEMORY = Line(2.4, 1.0, 50e6)
"""Memory of a step where it cannot be measured; measured on Linux, on a CPU, in float32."""


@dataclasses.dataclass(frozen=True)
class Point:
    """Counts of a network, and what it was measured to cost."""

    kept_bytes: int
    parameter_bytes: int
    step_multiply_adds: int
    step_elements: int
    scan_multiply_adds: int
    scan_elements: int
    memory: int | None
    step_seconds: float
    seconds: float


def rates_of(folder: Path, family: Family, trainer: TrainerConfig, device: torch.device) -> Rates:
    """Return the rates that the study in ``folder`` has measured, or measure them now.

    Args:
        folder: the study's folder.
        family: the networks, whose own rates are not used.
        trainer: optimizer, precision and memory format of all trainings, not "auto".
        device: where they run.

    Raises:
        InputError: a rates.json that cannot be read.
        SegkitError: no network could be measured.
    """
    path = folder / RATES
    if not path.is_file():
        write_text(path, json.dumps(_measured(family, trainer, device), indent=2) + "\n")
    return _read(path)


def _measured(family: Family, trainer: TrainerConfig, device: torch.device) -> dict[str, Any]:
    members = [member for member in map(family.member, EXPONENTS) if member]
    points = []
    for candidate in dict.fromkeys(members):
        log.info("timing %s for the rates of this machine", candidate.name)
        points.append(_point(family, candidate, trainer, device))
    return {
        "device": device.type,
        "precision": trainer.precision,
        "layout": trainer.layout,
        "threads": torch.get_num_threads(),
        "points": [dataclasses.asdict(point) for point in points],
        "rates": dataclasses.asdict(fitted(points)),
    }


def _point(
    family: Family, candidate: Candidate, trainer: TrainerConfig, device: torch.device
) -> Point:
    plan, cost = family.frame.plan_of(candidate), family.cost(candidate)
    found: MeasuredCost = measured_cost(plan, trainer, size=family.frame.size, device=device)
    outputs = output_elements(convolutions(plan))
    return Point(
        cost.kept_bytes,
        cost.parameters * BYTES_PER_PARAMETER[trainer.optimizer],
        plan.batch_size * cost.multiply_adds,
        plan.batch_size * outputs,
        cost.windows * cost.multiply_adds,
        cost.windows * outputs,
        **dataclasses.asdict(found),
    )


def fitted(points: Sequence[Point]) -> Rates:
    """Return the rates that fit the points best, relative to what was measured.

    Times have no constant part, and none of the rates is negative. The bytes of the parameters
    count once.
    """
    known = [point for point in points if point.memory is not None]
    memory = USUAL_MEMORY
    if known:
        rest = [float(max(1, (point.memory or 0) - point.parameter_bytes)) for point in known]
        slope, fixed = _fit([[point.kept_bytes, 1.0] for point in known], rest)
        memory = Line(slope, 1.0, fixed)
    steps = [[point.step_multiply_adds, point.step_elements] for point in points]
    scans = [[point.scan_multiply_adds, point.scan_elements] for point in points]
    return Rates(
        memory,
        window=Line(*_fit(scans, [point.seconds for point in points])),
        step=Line(*_fit(steps, [point.step_seconds for point in points])),
    )


def _fit(counts: Sequence[Sequence[float]], costs: Sequence[float]) -> tuple[float, float]:
    """Return the two rates of least squares of relative errors that are not negative.

    >>> [round(rate, 6) for rate in _fit([[1.0, 1.0], [2.0, 1.0]], [5.0, 7.0])]
    [2.0, 3.0]
    """
    table = np.asarray(counts, dtype=float) / np.asarray(costs, dtype=float)[:, None]
    scale = table.max(axis=0)
    found, _ = nnls(table / scale, np.ones(len(costs)))
    first, second = (float(rate) for rate in found / scale)
    return first, second


def _read(path: Path) -> Rates:
    try:
        rates = json.loads(path.read_text(encoding="utf-8"))["rates"]
        return Rates(**{name: Line(**line) for name, line in rates.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            path,
            expected="the rates of the machine as this study has measured them",
            found=f"{type(error).__name__}: {error}",
            remedy="Remove it to measure again; trainings that are finished stay as they are.",
        ) from error
