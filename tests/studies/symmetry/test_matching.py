"""Widths whose counts match those of a plain network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product
from math import log
from pathlib import Path

import pytest

from segkit.config.schema import NetworkConfig
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.plan_file import read_plan
from segkit.plans.symmetry_rules import symmetry_problems
from segkit.studies.symmetry.matching import cost_of, matched_widths, widths_of, with_network

PLAN = dataclasses.replace(
    read_plan(Path(__file__).parents[2] / "data" / "plan_v1.json"), mirror_axes=()
)


def network(plan: Plan, widths: Sequence[int], group: str = "") -> Plan:
    """Return the plan with a plain network, or with one of a group along the left-right axis."""
    symmetry = SymmetryPlan(group, (0,)) if group else None
    name = "equivariant_unet" if group else "unet"
    return with_network(plan, widths, NetworkConfig(name, symmetry=group or None), symmetry)


def test_at_equal_widths_multiply_adds_are_equal_and_parameters_about_halved() -> None:
    widths = widths_of(PLAN)
    plain, mirror = (cost_of(network(PLAN, widths, group)) for group in ("", "mirror"))
    assert mirror.multiply_adds == plain.multiply_adds
    assert 0.5 < mirror.parameters / plain.parameters < 0.51
    assert not list(symmetry_problems(network(PLAN, widths, "mirror")))


def test_kernels_strides_and_everything_but_the_network_stay() -> None:
    made = network(PLAN, widths_of(PLAN))
    assert dataclasses.replace(made, network=PLAN.network) == PLAN
    for before, after in zip(PLAN.network.encoder, made.network.encoder, strict=True):
        assert (before.kernel, before.stride) == (after.kernel, after.stride)


@pytest.mark.parametrize(("kind", "order"), [("multiply_adds", 2), ("parameters", 2)])
def test_a_matched_network_is_as_near_as_any_of_its_shape(kind: str, order: int) -> None:
    def count(widths: Sequence[int]) -> int:
        return int(getattr(cost_of(network(PLAN, widths, "mirror")), kind))

    plain = widths_of(PLAN)
    target = int(getattr(cost_of(network(PLAN, plain)), kind))
    found = matched_widths(plain, order, count, target)
    assert found is not None
    best = min(
        abs(log(count(widths) / target))
        for widths in product(*(range(order, 2 * width + 1, order) for width in plain[:2]))
        for widths in [(*widths, *found[2:])]
    )
    assert abs(log(count(found) / target)) < max(0.02, 3 * best)
    if kind == "multiply_adds":
        assert found == plain


def test_a_group_larger_than_the_widths_takes_one_orbit_per_stage() -> None:
    # 24 x 24 is the smallest there is; the plain network has 4 x 8.
    assert matched_widths((4, 8), 24, lambda widths: widths[0] * widths[1], 32) == (24, 24)


def test_one_stage_may_be_wider_than_rounding_makes_it() -> None:
    # Scaled by one factor both widths are equal: 10 x 10 or 12 x 12; the product nearest to 120
    # that a step of 2 in one stage allows is 10 x 12.
    assert matched_widths((8, 8), 2, lambda widths: widths[0] * widths[1], 120) == (10, 12)


def test_widths_that_no_network_can_have_are_passed_over() -> None:
    def found(fits: bool) -> tuple[int, ...] | None:
        return matched_widths((8, 8), 2, lambda widths: widths[0], 8, fits=lambda _one: fits)

    assert (found(True), found(False)) == ((8, 8), None)
