"""Compound exponents, and families whose cost doubles."""

from __future__ import annotations

from itertools import pairwise

import pytest

from segkit.errors import UsageError
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Frame
from segkit.studies.scaling.compound import Exponents, exponents
from segkit.studies.scaling.costs import Line, Mode, Rates
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.members import members_of
from segkit.studies.scaling.settings import SIZES, WAYS
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
        Budget(seconds=2.0),
        Budget(macs=5e9, parameters=1e6, memory=2e8),
    ],
)
def test_no_size_exceeds_the_budget(family: Family, budget: Budget) -> None:
    found, _ = members_of(family, budget, list(SIZES), WAYS)
    assert {(member.way, member.size) for member in found} >= {("compound", size) for size in SIZES}
    assert all(budget.fits(member.cost) for member in found)
    largest = [member for member in found if (member.way, member.size) == ("compound", "XL")]
    assert budget.binding(largest[0].cost)[1] > 0.5  # it uses the budget


def test_other_ways_change_one_axis_of_the_smallest_and_cost_as_much(family: Family) -> None:
    found, missing = members_of(family, Budget(macs=5e9), ["S", "XL"], WAYS)
    by_way = {member.way: member for member in found if member.size == "XL"}
    small = next(member.candidate for member in found if member.size == "S")
    assert not missing
    of_s = [member for member in found if member.size == "S" and member.way != "flat"]
    assert {member.candidate for member in of_s} == {small}
    for member in found:
        # The patch ends at the typical scan.
        assert member.share == pytest.approx(1, rel=0.15) or member is by_way["patch"]
    assert by_way["patch"].candidate.patch == family.frame.largest_patch
    wide, deep, large, flat = (by_way[way].candidate for way in WAYS[1:])
    assert (wide.convs, wide.patch) == (small.convs, small.patch)
    assert wide.widths > small.widths
    assert (deep.widths, deep.patch) == (small.widths, small.patch)
    assert deep.convs > small.convs
    assert large.convs == small.convs
    assert large.widths[: len(small.widths)] == small.widths
    assert large.patch > small.patch
    assert len(set(flat.widths)) == 1


def test_a_patch_larger_than_the_scan_is_no_way_to_scale(family: Family) -> None:
    _, missing = members_of(family, Budget(macs=1e12), [0, 3], ["patch"])
    assert [(part.way, part.size) for part in missing] == [("patch", "phi=3")]
    assert missing[0].reason == (
        "no patch up to a typical scan (40x56x40 voxels) has half of its cost"
    )


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
