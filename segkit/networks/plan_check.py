"""Check that the stages of a plan form a valid network.

A plan may come from elsewhere: in a bundle, or edited by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches

from segkit.errors import InputError
from segkit.networks.blocks import ACTIVATIONS
from segkit.plans.plan import Plan, StagePlan
from segkit.plans.symmetry_rules import symmetry_problems


def check_known(name: str, names: Iterable[str], *, where: str) -> None:
    """Raise InputError, with similar names, if ``name`` is not among ``names``."""
    names = list(names)
    if name in names:
        return
    near = get_close_matches(name, names, n=2)
    remedy = f"Did you mean {' or '.join(near)}?" if near else "Is the plan from a newer segkit?"
    raise InputError(where, expected=f"one of {', '.join(names)}", found=repr(name), remedy=remedy)


def check_network_plan(plan: Plan) -> None:
    """Raise InputError for the first part of the plan that no network could follow."""
    check_known(
        plan.network.activation, ACTIVATIONS, where=f"plan {plan.name!r}, network.activation"
    )
    for check in CHECKS:
        for where, expected, found in check(plan):
            raise unfit(plan, where, expected=expected, found=found)


def unfit(plan: Plan, where: str, *, expected: str, found: str) -> InputError:
    """Return the error for a part of a plan that the network cannot follow."""
    return InputError(
        f"plan {plan.name!r}, {where}",
        expected=expected,
        found=found,
        remedy="Compare the plan with what 'segkit plan DATASET' writes.",
    )


Findings = Iterator[tuple[str, str, str]]
"""Problems as (where, expected, found)."""


def _stages(plan: Plan) -> Iterator[tuple[str, StagePlan]]:
    for part, stages in (("encoder", plan.network.encoder), ("decoder", plan.network.decoder)):
        for index, stage in enumerate(stages):
            yield f"network.{part}[{index}]", stage


def _numbers_of_stages(plan: Plan) -> Findings:
    encoder, decoder = len(plan.network.encoder), len(plan.network.decoder)
    if encoder < 1 or decoder != encoder - 1:
        yield (
            "network",
            "one encoder stage or more, and one decoder stage less",
            f"{encoder} and {decoder}",
        )


def _sizes(plan: Plan) -> Findings:
    for where, stage in _stages(plan):
        if not stage.layers or any(layer.channels < 1 for layer in stage.layers):
            yield f"{where}.layers", "one layer or more, with 1 channel or more", f"{stage.layers}"
        if any(edge < 1 or edge % 2 == 0 for edge in stage.kernel):
            yield f"{where}.kernel", "odd edges", f"{stage.kernel}"
        if any(edge < 1 for edge in stage.stride):
            yield f"{where}.stride", "strides of 1 or more", f"{stage.stride}"


def _strides(plan: Plan) -> Findings:
    first, *down = (stage.stride for stage in plan.network.encoder)
    if first != (1, 1, 1):
        yield "network.encoder[0].stride", "(1, 1, 1)", f"{first}"
    up = [stage.stride for stage in reversed(plan.network.decoder)]
    if down != up:
        yield "network.decoder", f"strides that undo the encoder's, {down[::-1]}", f"{up[::-1]}"


def _slice_axis(plan: Plan) -> Findings:
    axis = plan.slice_axis
    if axis is None:
        return
    if axis not in range(3):
        yield "slice_axis", "0, 1 or 2", f"{axis}"
        return
    for where, stage in _stages(plan):
        if stage.kernel[axis] != 1 or stage.stride[axis] != 1:
            yield (
                where,
                f"kernel and stride 1 along slice axis {axis}",
                f"{stage.kernel} and {stage.stride}",
            )


CHECKS: tuple[Callable[[Plan], Findings], ...] = (
    _numbers_of_stages,
    _sizes,
    _strides,
    _slice_axis,
    symmetry_problems,
)
