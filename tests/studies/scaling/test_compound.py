"""Compound exponents, and families whose cost doubles."""

from __future__ import annotations

from itertools import pairwise

import pytest

from segkit.errors import UsageError
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Frame
from segkit.studies.scaling.compound import Exponents, exponents
from segkit.studies.scaling.costs import Line, Mode, Rates
from segkit.studies.scaling.family import SIZES, Family
from tests.studies.scaling.conftest import frame_for

RATES = Rates(memory=Line(2.0, 1.0, 1e6), window=Line(1e-10), step=Line(3e-10))


@pytest.fixture(scope="module")
def family(frame: Frame) -> Family:
    return Family(frame, exponents(3), Mode(), rates=RATES)


@pytest.fixture(scope="module")
def of_pictures(pictures: Frame) -> Family:
    return Family(pictures, exponents(2), Mode(), rates=RATES)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_of_phi_doubles_the_cost(dims: int) -> None:
    assert exponents(dims).growth(dims) == pytest.approx(2)


def test_the_constraint_of_pictures_is_wrong_in_3d() -> None:
    of_pictures = Exponents(1.0, 1.0, 2**0.5)
    assert of_pictures.growth(2) == pytest.approx(2)
    assert of_pictures.growth(3) == pytest.approx(2.83, abs=0.01)


def test_depth_and_width_may_not_take_more_than_the_doubling() -> None:
    with pytest.raises(UsageError, match=r"multiply the cost by 2.42 .* may only double it"):
        exponents(3, alpha=2.0, beta=1.1)


@pytest.mark.parametrize("name", ["family", "of_pictures"])
def test_costs_of_members_double(name: str, request: pytest.FixtureRequest) -> None:
    some: Family = request.getfixturevalue(name)
    members = [some.within(phi, Budget()) for phi in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0)]
    costs = [some.cost(member).multiply_adds for member in members]
    for smaller, larger in pairwise(costs):
        assert larger / smaller == pytest.approx(2, rel=0.15)


def test_a_3d_family_by_the_constraint_of_pictures_does_not_double(frame: Frame) -> None:
    wrong = Family(frame, Exponents(1.0, 1.0, 2**0.5), Mode())
    costs = [wrong.cost(wrong.within(phi, Budget())).multiply_adds for phi in (-2.0, -1.0)]
    assert costs[1] / costs[0] != pytest.approx(2, rel=0.15)


def test_the_lattice_counts_what_the_plan_counts(family: Family) -> None:
    for phi in (-2.5, 1.0):
        member = family.within(phi, Budget())
        assert family.lattice.multiply_adds(member) == family.cost(member).multiply_adds


@pytest.mark.parametrize(
    "budget",
    [
        Budget(parameters=2e5),
        Budget(seconds=2.0),
        Budget(macs=5e9, parameters=1e6, memory=2e8),
    ],
)
def test_no_size_exceeds_the_budget(family: Family, budget: Budget) -> None:
    sizes = family.sizes(budget, list(SIZES))
    assert [sizes[name] for name in ("S", "M", "L")] == [sizes["XL"] - less for less in (3, 2, 1)]
    costs = [family.cost(family.within(phi, budget)) for phi in sizes.values()]
    assert all(budget.fits(cost) for cost in costs)
    assert budget.binding(costs[-1])[1] > 0.5  # the largest size uses the budget


def test_a_budget_that_nothing_fits_names_its_term(family: Family) -> None:
    message = (
        r"budget.memory=10.0 KB is too little for every network of the family: the least demanding "
        r"one needs .* MB \(memory of a training step\)"
    )
    with pytest.raises(UsageError, match=message):
        family.largest(Budget(macs=1e12, memory=1e4))


def test_an_exponent_beyond_the_budget_says_what_it_needs(family: Family) -> None:
    message = r"budget.macs=1e\+09 is too little for phi=0, which needs 4.81e\+09 \(multiply-adds"
    with pytest.raises(UsageError, match=message):
        family.within(0.0, Budget(macs=1e9))


def test_an_exponent_below_the_smallest_network(family: Family) -> None:
    with pytest.raises(UsageError, match=r"no network has phi=-14: those of this dataset have -9"):
        family.within(-14.0, Budget())


def test_large_scans_get_larger_patches() -> None:
    frame = frame_for((300, 300, 200))
    family = Family(frame, exponents(3), Mode())
    patches = [family.within(phi, Budget()).patch for phi in (0.0, 2.0, 4.0)]
    assert patches[0] < patches[1] < patches[2]
