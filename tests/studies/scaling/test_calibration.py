"""Rates of a machine, and networks that are within the budget as measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.errors import InputError, OutOfMemoryError
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.calibration import (
    RATES,
    USUAL_MEMORY,
    Measure,
    Order,
    Point,
    corrected,
    fitted,
    rates_of,
)
from segkit.studies.scaling.candidate import Candidate, Frame
from segkit.studies.scaling.compound import exponents
from segkit.studies.scaling.costs import Line, Mode, Rates
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.measured import MeasuredCost

TRUE = Rates(memory=Line(3.0, 1.0, 2e7), window=Line(2e-10, 1e-9), step=Line(6e-10, 3e-9))


def machine(frame: Frame, rates: Rates) -> Measure:
    """Return a function that measures on a machine with these rates."""
    family = Family(frame, exponents(3), Mode(), rates=rates)

    def measure(candidate: Candidate) -> MeasuredCost:
        cost = family.cost(candidate)
        return MeasuredCost(round(cost.memory or 0), cost.step_seconds or 0.0, cost.seconds or 0.0)

    return measure


def test_the_rates_of_a_machine_are_found(frame: Frame, tmp_path: Path) -> None:
    family = Family(frame, exponents(3), Mode())
    order = Order(Budget(macs=5e9), ["XL"])
    found = rates_of(tmp_path, family, order, machine(frame, TRUE))
    for name in ("memory", "window", "step"):
        line, true = getattr(found, name), getattr(TRUE, name)
        assert line.per_first == pytest.approx(true.per_first, rel=1e-3)
        assert line.per_second == pytest.approx(true.per_second, rel=1e-3)
        assert line.fixed == pytest.approx(true.fixed, rel=1e-3)


def test_rates_are_measured_once(frame: Frame, tmp_path: Path) -> None:
    family, order = Family(frame, exponents(3), Mode()), Order(Budget(macs=5e9), ["XL"])
    first = rates_of(tmp_path, family, order, machine(frame, TRUE))
    twice = replace(TRUE, step=TRUE.step.times(2))
    assert rates_of(tmp_path, family, order, machine(frame, twice)) == first
    (tmp_path / RATES).write_text(json.dumps({"rates": {"memory": 1}}))
    with pytest.raises(InputError, match="rates of the machine as this study has measured them"):
        rates_of(tmp_path, family, order, machine(frame, TRUE))


def test_without_measured_memory_the_usual_rate_is_taken() -> None:
    point = Point(1, 1, 10, 1, 10, 1, memory=None, step_seconds=1.0, seconds=1.0)
    assert fitted([point]).memory == USUAL_MEMORY


def test_networks_that_exceed_the_budget_as_measured_are_not_taken(frame: Frame) -> None:
    budget = Budget(memory=2e8)
    # The rates that were fitted are too low by half for this machine.
    family, order = Family(frame, exponents(3), Mode()), Order(budget, ["M", "XL"])
    low = Rates(TRUE.memory.times(0.67), TRUE.window.times(0.67), TRUE.step)
    measure = machine(frame, TRUE)

    def excess(rates: Rates) -> list[bool]:
        found = order.members(replace(family, rates=rates))
        costs = [measure(member.candidate) for member in found]
        limits = budget.limits
        return [getattr(cost, term) > limits[term] for cost in costs for term in limits]

    assert True in excess(low)
    assert True not in excess(corrected(family, low, order, measure))


def test_sizes_of_a_later_call_are_within_the_budget_as_well(frame: Frame, tmp_path: Path) -> None:
    """A machine on which large networks take twice the memory that small ones let expect."""
    budget, family, honest = Budget(memory=4e8), Family(frame, exponents(3), Mode()), TRUE
    measured: list[str] = []

    def measure(candidate: Candidate) -> MeasuredCost:
        measured.append(candidate.name)
        found = machine(frame, honest)(candidate)
        memory = found.memory or 0
        return replace(found, memory=2 * memory if memory > 2.5e8 else memory)

    def within(sizes: list[str | float]) -> bool:
        order = Order(budget, sizes)
        rates = rates_of(tmp_path, family, order, measure)
        found = order.members(replace(family, rates=rates))
        return all((measure(member.candidate).memory or 0) <= 4e8 for member in found)

    assert within([-3.0])
    first = (tmp_path / RATES).read_bytes()
    assert within([-3.0])
    assert (tmp_path / RATES).read_bytes() == first
    assert within([-3.0, "XL"])
    assert (tmp_path / RATES).read_bytes() != first
    measured.clear()
    rates_of(tmp_path, family, Order(budget, [-3.0, "XL"]), measure)
    assert measured == []


def test_rates_of_another_machine_are_named(
    frame: Frame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family, order = Family(frame, exponents(3), Mode()), Order(Budget(macs=5e9), ["XL"])
    for name in ("chip A, 2 threads", "chip B, 8 threads"):
        rates_of(tmp_path, family, order, machine(frame, TRUE), name)
    assert "was measured on chip A, 2 threads, and this is chip B, 8 threads" in caplog.text
    assert json.loads((tmp_path / RATES).read_text())["machine"] == "chip A, 2 threads"


def test_a_network_that_the_machine_cannot_hold_is_not_taken(frame: Frame) -> None:
    family, measure = Family(frame, exponents(3), Mode()), machine(frame, TRUE)

    def small(candidate: Candidate) -> MeasuredCost:
        found = measure(candidate)
        if (found.memory or 0) > 2e8:
            raise OutOfMemoryError("this machine has too little memory")
        return found

    order = Order(Budget(memory=3e8), ["XL"])
    (largest,) = order.members(replace(family, rates=corrected(family, TRUE, order, small)))
    assert (measure(largest.candidate).memory or 0) <= 2e8
    with pytest.raises(OutOfMemoryError):
        corrected(family, TRUE, Order(Budget(seconds=100.0), ["XL"]), small)
