"""Networks that a search is compared with: the uniform family, and flat widths of equal cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from segkit.errors import UsageError
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.family import SIZES, Family

log = logging.getLogger(__name__)

FLAT_FACTORS = tuple(2 ** (step / 4) for step in range(-12, 21))
"""Factors of the planner's width among which flat networks are looked for."""


def uniform_candidates(family: Family, budget: Budget) -> list[Candidate]:
    """Return the compound networks of the sizes S to XL; XL is the largest within the budget.

    Sizes that are smaller than the smallest network are left out, with a line in the log.

    Raises:
        UsageError: not even the smallest network is within the budget.
    """
    found = []
    for name, phi in family.sizes(budget, tuple(SIZES)).items():
        try:
            found.append(family.within(phi, budget))
        except UsageError as error:
            log.info("uniform scaling has no network of size %s: %s", name, error)
    return list(dict.fromkeys(found))


def flat_candidates(
    family: Family, budget: Budget, targets: Sequence[Candidate]
) -> list[Candidate]:
    """Return networks with equal widths in all stages, as costly as ``targets``.

    Depth and patch are the planner's. For each target the one with the nearest multiply-adds is
    taken among those within the budget.
    """
    flats = {}
    for factor in FLAT_FACTORS:
        try:
            candidate = family.frame.candidate(width=factor, shape="flat")
        except UsageError:
            continue  # the groups of the smallest map would have too few values
        cost = family.cost(candidate)
        if budget.fits(cost):
            flats[candidate] = cost.multiply_adds
    wanted = [family.cost(target).multiply_adds for target in targets]
    nearest = [
        min(flats, key=lambda each: abs(math.log(flats[each] / work))) for work in wanted if flats
    ]
    return list(dict.fromkeys(nearest))
