"""Checks of a plan against the symmetry of its network: equal edges, whole orbits, no strides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from segkit.plans.network_catalogue import network_entry
from segkit.plans.plan import LEFT_RIGHT, NetworkPlan, Plan, SymmetryPlan
from segkit.plans.symmetry import SYMMETRIES, Element, elements
from segkit.units import is_whole

NORM_KINDS = ("group", "group_ws", "none")
"""Norms whose statistics are those of a patch; running ones of single channels have no symmetry."""
POOLED_NETWORKS = ("unet", "equivariant_unet")
"""Networks that follow `NetworkPlan.downsampling`."""

Findings = Iterator[tuple[str, str, str]]
"""Problems as (where, expected, found)."""


def order(network: NetworkPlan) -> int:
    """Return the number of channels of an orbit: 1 without symmetry."""
    return SYMMETRIES[network.symmetry.group].order if network.symmetry else 1


def window_elements(plan: Plan) -> tuple[Element, ...]:
    """Return the elements of the plan's symmetry, which act on windows without the slice axis.

    Raises:
        ValueError: the plan has no symmetry.
    """
    symmetry = plan.network.symmetry
    if symmetry is None:
        raise ValueError(f"plan {plan.name!r} has no symmetry")
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    return elements(symmetry.group, tuple(map(axes.index, symmetry.axes)), len(axes))


def moved_outputs(plan: Plan, element: Element) -> tuple[int, ...]:
    """Return the output that each network output becomes when a scan is moved by ``element``.

    A reflection makes left hands of right ones, and so exchanges the labels of ``mirror_swaps``.
    """
    if plan.mirror_swaps and element.is_reflection:
        return plan.mirrored_outputs
    return tuple(range(len(plan.label_values)))


def symmetry_problems(plan: Plan) -> Findings:
    """Yield what in ``plan`` contradicts the symmetry of its network.

    Later checks rely on earlier ones, so only the first problem is certain.
    """
    network = plan.network
    if plan.training_poses is not None:
        yield from _group(plan, plan.training_poses, "training_poses")
        yield from _grid(plan, plan.training_poses)
    if network.downsampling != "strided" and network.name not in POOLED_NETWORKS:
        names = " or ".join(POOLED_NETWORKS)
        yield "network.downsampling", f"strided, or network {names}", network.downsampling
    equivariant = network_entry(network.name).equivariant
    if equivariant != (network.symmetry is not None):
        expected = "a group and its axes" if equivariant else f"none with network {network.name}"
        yield "network.symmetry", expected, f"{network.symmetry}"
    elif network.symmetry is not None:
        for check in CHECKS:
            yield from check(plan, network.symmetry)


def _group(plan: Plan, symmetry: SymmetryPlan, where: str = "network.symmetry") -> Findings:
    entry = SYMMETRIES.get(symmetry.group)
    if entry is None or plan.dims not in entry.dims:
        names = [name for name, row in SYMMETRIES.items() if plan.dims in row.dims]
        expected = f"one of {', '.join(names)} in {plan.dims}D"
        yield f"{where}.group", expected, repr(symmetry.group)
        return
    axes: Sequence[Any] = symmetry.axes
    free = [axis for axis in range(3) if axis != plan.slice_axis]
    if symmetry.group == "mirror":
        free = [axis for axis in free if axis == LEFT_RIGHT]
    fits = all(is_whole(axis) and axis in free for axis in axes)
    if not fits or len(axes) != entry.axes or sorted(set(axes)) != list(axes):
        yield f"{where}.axes", f"{entry.axes} ascending axes out of {free}", f"{list(axes)}"


def _grid(plan: Plan, symmetry: SymmetryPlan) -> Findings:
    return _equal([("patch", plan.patch), ("spacing", plan.spacing)], symmetry)


def _stages(plan: Plan, symmetry: SymmetryPlan) -> Findings:
    stages = (*plan.network.encoder, *plan.network.decoder)
    edges: list[tuple[str, Sequence[Any]]] = []
    edges += [("the kernels of a stage", stage.kernel) for stage in stages]
    edges += [("the strides of a stage", stage.stride) for stage in stages]
    return _equal(edges, symmetry)


def _equal(edges: Sequence[tuple[str, Sequence[Any]]], symmetry: SymmetryPlan) -> Findings:
    names = ", ".join("xyz"[axis] for axis in symmetry.axes)
    for where, values in edges:
        if len({values[axis] for axis in symmetry.axes}) > 1:
            yield where, f"equal numbers along {names} for {symmetry.group}", f"{list(values)}"


def _downsampling(plan: Plan, symmetry: SymmetryPlan) -> Findings:
    if plan.network.downsampling != "average":
        yield "network.downsampling", f"average for {symmetry.group}", plan.network.downsampling


def _orbits(plan: Plan, symmetry: SymmetryPlan) -> Findings:
    orbit = order(plan.network)
    for layer in plan.network.layers:
        where = f"layer {layer.name}"
        if layer.norm not in NORM_KINDS:
            expected = f"one of the norms {', '.join(NORM_KINDS)} for {symmetry.group}"
            yield where, expected, layer.norm
            return
        if layer.channels % orbit:
            expected = f"a multiple of {orbit} channels for {symmetry.group}"
            yield where, expected, f"{layer.channels}"
        # One group per channel is moved onto itself as a whole, too.
        one_per_channel = layer.groups == layer.channels
        if layer.groups and not one_per_channel and layer.channels // layer.groups % orbit:
            expected = f"groups of whole orbits of {orbit} channels for {symmetry.group}"
            yield where, expected, f"groups of {layer.channels // layer.groups}"


CHECKS: tuple[Callable[[Plan, SymmetryPlan], Findings], ...] = (
    _group,
    _grid,
    _stages,
    _downsampling,
    _orbits,
)
