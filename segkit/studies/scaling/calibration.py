"""Rates of this machine: how memory and seconds follow from counts, from a few measured networks.

They are measured once for a study and kept in rates.json, so that the same command continues with
the same networks. Networks that a later call asks for are measured then: if one of them exceeds the
budget, the rates are raised, as in the first call.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from segkit.errors import InputError, OutOfMemoryError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json
from segkit.plans.convolutions import convolutions
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.costs import (
    BYTES_PER_PARAMETER,
    Line,
    Rates,
    output_elements,
)
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.measured import MeasuredCost
from segkit.studies.scaling.members import Member, members_of
from segkit.studies.scaling.settings import COMPOUND

log = logging.getLogger(__name__)

RATES = "rates.json"
EXPONENTS = (-3.0, -1.5, 0.0)
"""Exponents of the networks that are measured; those that there are."""
USUAL_MEMORY = Line(2.4, 1.0, 50e6)
"""Memory of a step where it cannot be measured; measured on Linux, on a CPU, in float32."""
MARGIN = 1.02
"""Factor by which rates are raised beyond a network that exceeds the budget as measured."""
BEYOND_MACHINE = 1.25
"""Factor of the rate of memory if a network does not fit into this machine at all."""
PREDICTED = ("memory", "seconds")
"""Terms of a budget that are predicted; the others are exact."""

_EXPECTED = "the rates of the machine as this study has measured them"
_REMEDY = "Remove it to measure again; trainings that are finished stay as they are."

Measure = Callable[[Candidate], MeasuredCost]
"""Function that measures what a candidate costs on this machine."""


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


@dataclasses.dataclass(frozen=True)
class Order:
    """Networks that a study is asked for, which must be within the budget as measured."""

    budget: Budget
    sizes: Sequence[str | float]

    def members(self, family: Family) -> list[Member]:
        """Return the compound networks, the smallest first.

        Raises:
            UsageError: a size of which no network is within the budget.
        """
        return members_of(family, self.budget, self.sizes, [COMPOUND])[0]


def rates_of(
    folder: Path, family: Family, order: Order, measure: Measure, machine: str = ""
) -> Rates:
    """Return the rates that the study in ``folder`` has measured, or measure them now.

    Args:
        folder: the study's folder.
        family: the networks; it has no rates yet.
        order: the networks that are asked for.
        measure: measures what a candidate costs on this machine.
        machine: this machine in words, which the file records.

    Raises:
        UsageError: a size of which no network is within the budget.
        InputError: a rates.json that cannot be read.
    """
    path = folder / RATES
    if path.is_file():
        content = read_json(path, expected=_EXPECTED, remedy=_REMEDY)
        _warn_of_other(path, str(content.get("machine", machine)), machine)
    else:
        if order.budget.exact.limits:
            # What is too little on any machine is refused before anything is timed.
            Order(order.budget.exact, order.sizes).members(family)
        points = _points(family, measure)
        fit = dataclasses.asdict(fitted(points))
        content = {
            "machine": machine,
            "points": [dataclasses.asdict(point) for point in points],
            "fitted": fit,
            "rates": fit,
            "measured": {},
        }
    rates, known = _rates_in(content, path), _measured_in(content, path)
    raised = corrected(family, rates, order, partial(_once, known, measure))
    if raised != rates:
        log.info("the rates are raised, so that all networks are within the budget as measured")
    costs = {name: dataclasses.asdict(cost) for name, cost in known.items()}
    now = {**content, "rates": dataclasses.asdict(raised), "measured": costs}
    if now != content or not path.is_file():
        write_text(path, json.dumps(now, indent=2) + "\n")
    return raised


def _once(known: dict[str, MeasuredCost], measure: Measure, candidate: Candidate) -> MeasuredCost:
    """Return what a candidate costs; it is added to ``known`` unless it is there."""
    if candidate.name not in known:
        known[candidate.name] = measure(candidate)
    return known[candidate.name]


def _warn_of_other(path: Path, measured: str, here: str) -> None:
    if measured != here:
        log.warning(
            "%s was measured on %s, and this is %s: predictions are for the former",
            path,
            measured,
            here,
        )


def corrected(family: Family, rates: Rates, order: Order, measure: Measure) -> Rates:
    """Return the rates, raised until no network is measured to exceed the budget.

    Parameters and multiply-adds are exact and need no measurement.

    Args:
        family: the networks.
        rates: fitted rates.
        order: the networks to measure.
        measure: measures what a candidate costs on this machine.

    Raises:
        UsageError: a size of which no network is within the budget.
        OutOfMemoryError: a network does not fit into this machine, and no memory limits the budget.
    """
    while excess := _excess_of_any(dataclasses.replace(family, rates=rates), order, measure):
        rates = dataclasses.replace(
            rates,
            memory=rates.memory.times(excess.get("memory", 1.0)),
            window=rates.window.times(excess.get("seconds", 1.0)),
        )
    return rates


def _excess_of_any(family: Family, order: Order, measure: Measure) -> dict[str, float]:
    """Return by which factors the rates are too low for the largest network beyond the budget.

    Nothing is returned if all networks are within it.
    """
    if not set(PREDICTED) & set(order.budget.limits):
        return {}
    for member in reversed(order.members(family)):
        try:
            excess = _excess(order.budget, member, measure(member.candidate))
        except OutOfMemoryError:
            if order.budget.memory is None:
                raise
            excess = {"memory": BEYOND_MACHINE}
        if excess:
            log.info("%s exceeds the budget as measured", member.candidate.name)
            return excess
    return {}


def _excess(budget: Budget, member: Member, found: MeasuredCost) -> dict[str, float]:
    factors = {}
    for term in set(PREDICTED) & set(budget.limits):
        predicted, value = getattr(member.cost, term), getattr(found, term)
        if value is not None and value > budget.limits[term]:
            factors[term] = MARGIN * value / predicted
    return factors


def _points(family: Family, measure: Measure) -> list[Point]:
    members = [member for member in map(family.member, EXPONENTS) if member]
    return [_point(family, candidate, measure) for candidate in dict.fromkeys(members)]


def _point(family: Family, candidate: Candidate, measure: Measure) -> Point:
    log.info("timing %s for the rates of this machine", candidate.name)
    plan, cost, found = family.frame.plan_of(candidate), family.cost(candidate), measure(candidate)
    outputs = output_elements(convolutions(plan))
    return Point(
        cost.kept_bytes,
        cost.parameters * BYTES_PER_PARAMETER[family.mode.optimizer],
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


def _rates_in(content: Mapping[str, Any], path: Path) -> Rates:
    with _damaged(path):
        return Rates(**{name: Line(**line) for name, line in content["rates"].items()})


def _measured_in(content: Mapping[str, Any], path: Path) -> dict[str, MeasuredCost]:
    """Return the measured costs of networks that were checked against the budget, by name."""
    with _damaged(path):
        costs = content.get("measured", {})
        return {name: MeasuredCost(**cost) for name, cost in costs.items()}


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Raise an InputError about rates.json if the block cannot read a part of it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(path, expected=_EXPECTED, found=found, remedy=_REMEDY) from error
