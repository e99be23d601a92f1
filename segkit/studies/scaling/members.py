"""Networks of a study: the members of the compound family, and others of the same cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.costs import Cost
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.lattice import Choices
from segkit.studies.scaling.settings import COMPOUND, SIZES

CHEAPER = tuple(2 ** (-step / 6) for step in range(7))
"""Shares of the cost of a size that are tried for another way to scale: down to one half."""

FLAT_FACTORS = range(1, 65)
"""Widths of flat networks that are tried, in units of the planner's first stage."""


@dataclass(frozen=True)
class Member:
    """A network of a study and what it stands for."""

    way: str
    """One of WAYS."""
    size: str
    """Name of its size, such as XL, or its exponent as typed."""
    phi: float
    """Exponent of the size."""
    candidate: Candidate
    cost: Cost
    """Its predicted cost."""
    share: float
    """Its multiply-adds, as a share of those of the compound network of the size."""


@dataclass(frozen=True)
class Missing:
    """A way to scale that has no network of a size, and why."""

    way: str
    size: str
    reason: str


def members_of(
    family: Family, budget: Budget, sizes: Sequence[str | float], ways: Sequence[str]
) -> tuple[list[Member], list[Missing]]:
    """Return all networks of a study by size, in ascending order, and those that there are not.

    The other ways start from the smallest compound network, and are matched in multiply-adds.

    Args:
        family: the compound family.
        budget: limits that no network exceeds.
        sizes: names of SIZES, or exponents.
        ways: some of WAYS.

    Raises:
        UsageError: a size of which no network is within the budget.
    """
    exponents = _exponents(family, budget, sizes)
    compound = {phi: family.within(phi, budget) for phi in sorted(exponents)}
    smallest = compound[min(compound)]
    found: list[Member] = []
    missing: list[Missing] = []
    for phi, candidate in compound.items():
        size = _Size(family, budget, exponents[phi], phi, candidate)
        for way in ways:
            made = size.member(way, smallest)
            if isinstance(made, Member):
                found.append(made)
            else:
                missing.append(made)
    return found, missing


def _exponents(family: Family, budget: Budget, sizes: Sequence[str | float]) -> dict[float, str]:
    """Return the name of every size by its exponent."""
    names = [size for size in sizes if isinstance(size, str)]
    largest = family.largest(budget) if names else 0.0
    by_name = {largest - SIZES[name]: name for name in names}
    return {float(size): f"phi={size:g}" for size in sizes if not isinstance(size, str)} | by_name


@dataclass(frozen=True)
class _Size:
    """A size of a study, for which networks of the same cost are looked for."""

    family: Family
    budget: Budget
    name: str
    phi: float
    compound: Candidate

    def member(self, way: str, smallest: Candidate) -> Member | Missing:
        """Return the network of a way; ``smallest`` is the one from which single axes start."""
        if way == COMPOUND:
            return self._as_member(way, self.compound)
        if way != "flat" and self.compound == smallest:
            return self._as_member(way, smallest)
        start = self.compound if way == "flat" else smallest
        candidate = self._of_the_same_cost(way, start)
        if candidate is None:
            return Missing(way, self.name, self._reason(way))
        return self._as_member(way, candidate)

    def _of_the_same_cost(self, way: str, start: Candidate) -> Candidate | None:
        target = self.family.lattice.multiply_adds(self.compound)
        for share in CHEAPER:
            found = self.family.lattice.nearest(
                share * target,
                self.family.lattice.factors_of(start),
                self._choices(way, start, share * target),
                channels_per_group=start.channels_per_group or 1,
                accept=lambda candidate: self.budget.fits(self.family.cost(candidate)),
            )
            if found is not None:
                return found
        return None

    def _choices(self, way: str, start: Candidate, target: float) -> Choices:
        """Return the values of the axis of a way; the others are those of ``start``."""
        lattice, point = self.family.lattice, self.family.lattice.factors_of(start)
        growth = target / lattice.multiply_adds(start)
        fixed = Choices([start.convs], [start.patch], [], exact=[start.widths])
        if way == "depth":
            return dataclasses.replace(fixed, convs=lattice.depths(point.depth * growth))
        if way == "width":
            wide = dataclasses.replace(point, width=point.width * growth**0.5)
            return dataclasses.replace(fixed, widths=lattice.around(wide).widths, mixed=True)
        if way == "patch":
            factor = point.patch * growth ** (1 / len(self.family.frame.axes))
            exact = [self._continued(start.widths, more, point.width) for more in range(5)]
            return dataclasses.replace(fixed, patches=lattice.patches(factor), exact=exact)
        around = lattice.around(point)
        return dataclasses.replace(around, widths=FLAT_FACTORS, flat=True)

    def _continued(self, widths: tuple[int, ...], more: int, factor: float) -> tuple[int, ...]:
        """Return the widths with those of deeper stages, for a larger patch: at most doubled."""
        usual = self.family.frame.widths(len(widths) + more, factor, "doubling")
        for width in usual[len(widths) :]:
            widths = (*widths, max(widths[-1], min(width, 2 * widths[-1])))
        return widths

    def _reason(self, way: str) -> str:
        if way == "patch":
            whole = "x".join(map(str, self.family.frame.largest_patch))
            return f"no patch up to a typical scan ({whole} voxels) has half of its cost"
        return "no such network within the budget has half of its cost or more"

    def _as_member(self, way: str, candidate: Candidate) -> Member:
        lattice = self.family.lattice
        share = lattice.multiply_adds(candidate) / lattice.multiply_adds(self.compound)
        cost = self.family.cost(candidate)
        return Member(way, self.name, self.phi, candidate, cost, share)
