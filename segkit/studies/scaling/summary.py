"""Summary of the scaling study: Dice with intervals, costs, differences at equal cost, verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import mean
from typing import Any

from segkit.evaluation.intervals import (
    SHARE,
    SHARE_DIFFERENCE,
    Interval,
    mean_interval,
    paired_difference,
    shared_level,
    verdict,
)
from segkit.studies.cells import CellResult, Row
from segkit.studies.normalization.summary import labels_of, values_of
from segkit.studies.scaling.budget import TERMS, Budget, term_text
from segkit.studies.scaling.cell import COSTS
from segkit.studies.scaling.members import Member, Missing
from segkit.studies.scaling.pareto import pareto_front
from segkit.studies.scaling.settings import COMPOUND
from segkit.studies.scaling.tables import Costs


def is_cost(row: Row) -> bool:
    """Return whether a row of results.csv is a measured cost."""
    return row["measure"] in COSTS


@dataclass(frozen=True)
class Comparison:
    """Difference in Dice between two networks of a study."""

    a: Member
    b: Member
    difference: Interval | None
    names: tuple[str, str]

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return verdict(self.difference, *self.names)


@dataclass(frozen=True)
class Found:
    """Networks of a study with the results of their cells."""

    members: Sequence[Member]
    missing: Sequence[Missing]
    results: Sequence[CellResult]
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def rows(self) -> Mapping[str, list[Row]]:
        """Rows of results.csv by network."""
        rows: dict[str, list[Row]] = {}
        for result in self.results:
            if result.status == "done":
                rows.setdefault(str(result.cell.facts["network"]), []).extend(result.rows())
        return rows

    @cached_property
    def measured(self) -> Mapping[str, Costs]:
        """Measured costs by network."""
        found: dict[str, dict[str, float | None]] = {}
        for network, rows in self.rows.items():
            for row in rows:
                if is_cost(row) and row["value"] is not None:
                    found.setdefault(network, {})[str(row["measure"])] = float(row["value"])
        return found

    @cached_property
    def machines(self) -> Mapping[str, list[str]]:
        """Networks whose costs were measured on a machine, by machine; "" if it is not recorded."""
        found: dict[str, list[str]] = {}
        for network, rows in self.rows.items():
            for machine in {str(row.get("machine") or "") for row in rows if is_cost(row)}:
                found.setdefault(machine, []).append(network)
        return found

    def of(self, member: Member) -> list[Row]:
        """Return the rows of a network."""
        return self.rows.get(member.candidate.name, [])

    def dice(self, member: Member, label: str | None = None) -> Interval | None:
        """Return the mean Dice of a network over cases and seeds; the mean over labels or one."""
        return mean_interval(values_of(self.of(member), "dice", label=label), limits=SHARE)

    @cached_property
    def labels(self) -> list[str]:
        """Labels that have a Dice."""
        return list(
            dict.fromkeys(label for rows in self.rows.values() for label in labels_of(rows))
        )

    def exceeded(self, member: Member) -> list[str]:
        """Return what a network was measured to take beyond the budget, in words."""
        costs = self.measured.get(member.candidate.name, {})
        return [
            f"{TERMS[term]} {term_text(term, value)} > {term_text(term, limit)}"
            for term, limit in self.budget.limits.items()
            if (value := costs.get(term)) is not None and value > limit
        ]


def comparisons(found: Found) -> list[Comparison]:
    """Return the compound network of every size against the others of the size and the smallest.

    All intervals hold together with 95 % (`shared_level`). Networks that are the same are not
    compared.
    """
    compound = {member.size: member for member in found.members if member.way == COMPOUND}
    if not compound:
        return []
    smallest = min(compound.values(), key=lambda member: member.phi)
    pairs = [
        (compound[member.size], member)
        for member in found.members
        if member.way != COMPOUND and member.candidate != compound[member.size].candidate
    ]
    pairs += [(member, smallest) for member in compound.values() if member is not smallest]
    level = shared_level(len(pairs))
    return [Comparison(a, b, _difference(found, a, b, level), _names(a, b)) for a, b in pairs]


def _names(a: Member, b: Member) -> tuple[str, str]:
    if a.size == b.size:
        return f"{a.way} at {a.size}", f"{b.way} at {b.size} ({b.share:.2f} of its cost)"
    return f"{a.way} at {a.size}", f"{b.way} at {b.size}"


def _difference(found: Found, a: Member, b: Member, level: float) -> Interval | None:
    values = (values_of(found.of(member), "dice") for member in (a, b))
    return paired_difference(*values, level=level, limits=SHARE_DIFFERENCE)


def headline(compared: Sequence[Comparison]) -> list[str]:
    """Return the answers: is compound scaling better at equal cost, and is larger better?"""
    known = [part for part in compared if part.difference]
    if not known:
        return ["No two networks have Dice yet that could be compared; costs are below."]
    others = [part for part in known if part.a.size == part.b.size]
    larger = [part for part in known if part.a.size != part.b.size]
    sentences = []
    if others:
        better, worse = (_count_certain(others, sign) for sign in (1, -1))
        shares = [part.b.share for part in others]
        sentences.append(
            f"At equal multiply-adds (the others have {min(shares):.2f} to {max(shares):.2f} of "
            f"them), compound scaling has a higher Dice than another way in {better} of "
            f"{len(others)} comparisons and a lower one in {worse}; in the rest there is no "
            "evidence of a difference."
        )
    if larger:
        better, worse = (_count_certain(larger, sign) for sign in (1, -1))
        sentences.append(
            f"Compound networks larger than the smallest: of {len(larger)}, {better} with a higher "
            f"Dice than it and {worse} with a lower one, beyond chance."
        )
    seeds = max(part.difference.seeds for part in known if part.difference)
    if seeds == 1:
        sentences.append("With one seed a difference may be due to chance in two trainings.")
    return sentences


def _count_certain(compared: Sequence[Comparison], sign: int) -> int:
    return sum(
        part.difference is not None
        and part.difference.excludes_zero
        and part.difference.mean * sign > 0
        for part in compared
    )


COST_NAMES = {
    "multiply_adds": "billions of multiply-adds of a window",
    "memory": "memory of a step in GB",
    "step_seconds": "seconds of a step",
    "seconds": "seconds of a scan",
}
"""Costs against which Dice is drawn, with their units."""


def cost_by_name(found: Found, member: Member, name: str) -> float | None:
    """Return a cost of a network as measured; multiply-adds are counted."""
    if name == "multiply_adds":
        return float(member.cost.multiply_adds)
    return found.measured.get(member.candidate.name, {}).get(name)


def front_of(found: Found, cost: str) -> list[Member]:
    """Return the networks on the Pareto front of mean Dice against a measured cost."""
    points: dict[str, tuple[Member, float, float]] = {}
    for member in found.members:
        dice, value = found.dice(member), cost_by_name(found, member, cost)
        if dice is not None and value is not None:
            points.setdefault(member.candidate.name, (member, value, dice.mean))
    chosen = list(points.values())
    return [chosen[number][0] for number in pareto_front([point[1:] for point in chosen])]


def summary_of(found: Found, compared: Sequence[Comparison]) -> dict[str, Any]:
    """Return networks, comparisons and failures for summary.json, in JSON types."""
    return {
        "networks": [_network(found, member) for member in found.members],
        "missing": [dataclasses.asdict(part) for part in found.missing],
        "pareto": {
            cost: [f"{member.size} {member.way}" for member in front_of(found, cost)]
            for cost in COST_NAMES
        },
        "comparisons": [
            {
                "a": part.names[0],
                "b": part.names[1],
                "difference": _json(part.difference),
                "verdict": part.verdict,
            }
            for part in compared
        ],
        "machines": {name: list(networks) for name, networks in found.machines.items()},
        "failed": {
            result.cell.name: result.message for result in found.results if result.status != "done"
        },
    }


def _network(found: Found, member: Member) -> dict[str, Any]:
    rows = [row for row in found.of(member) if row["measure"] == "seconds_per_step"]
    trained = [float(row["value"]) for row in rows if row["value"] is not None]
    return {
        "size": member.size,
        "way": member.way,
        "phi": member.phi,
        "network": member.candidate.name,
        "overrides": member.candidate.overrides,
        "share": member.share,
        "predicted": dataclasses.asdict(member.cost),
        "measured": dict(found.measured.get(member.candidate.name, {})),
        "exceeded": found.exceeded(member),
        "seconds_per_step_of_training": mean(trained) if trained else None,
        "dice": _json(found.dice(member)),
        "dice_by_label": {label: _json(found.dice(member, label)) for label in found.labels},
    }


def _json(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else dataclasses.asdict(interval)
