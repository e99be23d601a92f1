"""Symmetry of an equivariant network: its axes, and what it asks of labels, spacing and patch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from segkit.config.schema import NetworkConfig
from segkit.errors import UsageError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.fingerprint.usual_spacing import Spacing
from segkit.labels.left_right_names import lateral_pairs
from segkit.planning.mirroring import Mirroring, order_in_words, orders_against
from segkit.planning.task import Task
from segkit.planning.topology import SPACING_FACTOR
from segkit.plans.network_catalogue import network_entry
from segkit.plans.norm_catalogue import NORMS
from segkit.plans.plan import LEFT_RIGHT, SymmetryPlan
from segkit.plans.symmetry import DEFAULT, SYMMETRIES, Symmetry
from segkit.plans.symmetry_rules import NORM_KINDS

log = logging.getLogger(__name__)

NEARLY = 0.99
"""Ratio of two likenesses of voxel spacings above which both count as the largest."""


def symmetry_name(network: NetworkConfig) -> str | None:
    """Return the group of the network that the settings ask for; None without one."""
    if not network_entry(network.name).equivariant:
        return None
    return network.symmetry or DEFAULT


def orbit_size(network: NetworkConfig) -> int:
    """Return the number of channels that belong together: the order of the group, or 1."""
    name = symmetry_name(network)
    return 1 if name is None else SYMMETRIES[name].order


def choose_symmetry(task: Task, spacing: Spacing) -> SymmetryPlan | None:
    """Return the symmetry of the network and the axes on which it acts.

    In-plane axes are the two whose spacings are most alike, or X and Y if all are alike.

    Raises:
        UsageError: the group does not fit the number of dimensions, or the norm breaks it.
    """
    name = symmetry_name(task.network)
    if name is None:
        return None
    group = SYMMETRIES[name]
    if task.dims not in group.dims:
        fitting = [known for known, row in SYMMETRIES.items() if task.dims in row.dims]
        raise UsageError(
            f"network.symmetry={name} is not for networks in {task.dims}D. Choose one of"
            f" {', '.join(fitting)}."
        )
    check_norm(task.network.norm)
    return SymmetryPlan(name, _axes(task, name, group, spacing))


def check_norm(norm: str) -> None:
    """Raise a UsageError if a norm, a value of network.norm, has no symmetry."""
    if norm in NORMS and NORMS[norm].kind not in NORM_KINDS:
        names = [name for name, row in NORMS.items() if row.kind in NORM_KINDS]
        raise UsageError(
            f"network.norm={norm} has running statistics of every channel, which would break the"
            f" symmetry of network=equivariant_unet. Choose one of {', '.join(names)}."
        )


def _axes(task: Task, name: str, group: Symmetry, spacing: Spacing) -> tuple[int, ...]:
    if name == "mirror":
        if LEFT_RIGHT not in task.axes:
            raise UsageError(
                "network.symmetry=mirror exchanges left and right, and the slices are perpendicular"
                " to that axis (x). Choose p4 or p4m, network.dims=3, or network=unet."
            )
        return (LEFT_RIGHT,)
    if group.axes == len(task.axes):
        return task.axes
    edges = [1.0 if edge is None else edge for edge in spacing]
    alike = {
        pair: _likeness(*(edges[axis] for axis in pair)) for pair in combinations(task.axes, 2)
    }
    return min(pair for pair in alike if alike[pair] >= NEARLY * max(alike.values()))


def _likeness(one: float, other: float) -> float:
    return min(one, other) / max(one, other)


def tied_spacing(
    symmetry: SymmetryPlan | None, spacing: Spacing, reason: str, *, given: bool
) -> tuple[Spacing, str]:
    """Return a spacing that is equal along the axes of the symmetry, and the reason for it.

    Args:
        symmetry: symmetry of the network, or None.
        spacing: spacing that was chosen without it.
        reason: the reason for that spacing.
        given: True if the user gives the spacing, which is then not changed.

    Raises:
        UsageError: the spacings differ too much, or the user gives different ones.
    """
    axes = symmetry.axes if symmetry else ()
    edges = [spacing[axis] or 1.0 for axis in axes]
    if symmetry is None or len(set(edges)) <= 1:
        return spacing, reason
    names, found = _names(axes), " x ".join(f"{edge:g}" for edge in edges)
    if given or max(edges) >= SPACING_FACTOR * min(edges):
        source = "plan.spacing is" if given else "the usual voxel spacing is"
        raise UsageError(
            f"network.symmetry={symmetry.group} turns {names} into each other, and {source} {found}"
            f" along them. {_spacing_remedy(symmetry, edges)}"
        )
    mean = float(f"{math.prod(edges) ** (1 / len(edges)):.5g}")
    x, y, z = (mean if axis in axes else edge for axis, edge in enumerate(spacing))
    return (x, y, z), (
        f"{reason} For {symmetry.group} it must be equal along {names}: the geometric mean of"
        f" {found}."
    )


def _spacing_remedy(symmetry: SymmetryPlan, edges: Sequence[float]) -> str:
    other = (
        "a group that leaves the coarse axis alone (network.symmetry=d4 or mirror)"
        if len(symmetry.axes) == 3
        else "network.symmetry=mirror"
    )
    return f"Give {other}, or plan.spacing with equal numbers such as {min(edges):g}."


def check_patch(symmetry: SymmetryPlan | None, patch: Sequence[int] | None) -> None:
    """Raise a UsageError if a patch that the user gives has different edges along turned axes."""
    if (
        symmetry is not None
        and patch is not None
        and len({patch[axis] for axis in symmetry.axes}) > 1
    ):
        edge = max(patch[axis] for axis in symmetry.axes)
        fitting = [edge if axis in symmetry.axes else size for axis, size in enumerate(patch)]
        raise UsageError(
            f"plan.patch={list(patch)} must have equal edges along {_names(symmetry.axes)}, which"
            f" network.symmetry={symmetry.group} turns into each other, such as"
            f" {str(fitting).replace(' ', '')}."
        )


def symmetric_mirroring(
    symmetry: SymmetryPlan | None, labels: Sequence[str], mirroring: Mirroring, choice: Any
) -> Mirroring:
    """Return the mirroring with the pairs of labels that the symmetry of the network exchanges.

    Args:
        symmetry: symmetry of the network, or None.
        labels: names of the labels or regions.
        mirroring: the axes that the training mirrors, chosen without the symmetry.
        choice: value of augment.mirror.

    Raises:
        UsageError: labels that name a side contradict the group, or ``choice`` does.
    """
    if symmetry is None:
        return mirroring
    if not SYMMETRIES[symmetry.group].reflections:
        return _with_handedness(symmetry, labels, mirroring, choice)
    pairs, alone = lateral_pairs(labels)
    if alone or (pairs and symmetry.group != "mirror"):
        raise UsageError(_sided(symmetry.group, alone[0] if alone else pairs[0][0], bool(alone)))
    if pairs and choice == "all":
        raise UsageError(
            f"augment.mirror=all keeps the names of {pairs[0][0]} and {pairs[0][1]} when x is"
            " mirrored, and network.symmetry=mirror exchanges them: omit augment.mirror"
        )
    return replace(mirroring, swaps=pairs)


def _with_handedness(
    symmetry: SymmetryPlan, labels: Sequence[str], mirroring: Mirroring, choice: Any
) -> Mirroring:
    """Return the mirroring without axes that would make the sides of labels alike for turns.

    The turns make a scan mirrored along Y, for example, one that is mirrored along X. If the former
    kept the names of left and right, nothing would be left to tell them apart.
    """
    pairs, alone = lateral_pairs(labels)
    sided = [*(pair[0] for pair in pairs), *alone]
    if LEFT_RIGHT not in symmetry.axes or not sided:
        return mirroring
    exchanging = (LEFT_RIGHT,) if mirroring.swaps else ()
    alike = [axis for axis in mirroring.axes if axis in symmetry.axes and axis not in exchanging]
    if not alike:
        return mirroring
    why = (
        f"{sided[0]} would keep its name, and with the turns of network.symmetry={symmetry.group}"
        " nothing would tell the sides apart"
    )
    if choice != "auto":
        given = str(choice).replace(" ", "")
        raise UsageError(f"augment.mirror={given}: {why}. Omit augment.mirror.")
    return Mirroring(
        tuple(axis for axis in mirroring.axes if axis not in alike),
        mirroring.swaps,
        f"{mirroring.reason} But {_names(alike)} will not be mirrored: {why}.",
    )


def _sided(group: str, label: str, alone: bool) -> str:
    remedy = "Choose network.symmetry=mirror, which exchanges the names of such pairs"
    if alone:
        remedy = (
            "If the other side does not look like its mirror image, give the label a name without a"
            " side (dataset.labels)"
        )
    turned = "" if group == "mirror" else ", or a group without reflections (p4, octahedral24)"
    what = "no label is the other side" if alone else "the group keeps it where a scan is mirrored"
    return (
        f"network.symmetry={group} cannot tell the sides of a mirrored scan apart: label {label}"
        f" has a side by its name, and {what}. {remedy}{turned}."
    )


def check_regions(symmetry: SymmetryPlan | None, regions: Sequence[str]) -> None:
    """Raise a UsageError if overlapping regions have sides, whose names cannot be exchanged."""
    if symmetry is None or not SYMMETRIES[symmetry.group].reflections:
        return
    pairs, alone = lateral_pairs(regions)
    sided = [*(name for pair in pairs for name in pair), *alone]
    if sided:
        raise UsageError(
            f"network.symmetry={symmetry.group} would have to exchange the names of left and right,"
            f" and region {sided[0]} overlaps others: a voxel of several regions has no single name"
            " to change. Train labels instead (dataset.labels), or network=unet."
        )


def symmetry_reason(
    symmetry: SymmetryPlan, fingerprint: Fingerprint, swaps: Sequence[tuple[str, str]]
) -> str:
    """Return what the group does, in words; log a warning if the labels depend on the pose.

    Args:
        symmetry: symmetry of the network.
        fingerprint: measurements of the dataset.
        swaps: pairs of labels that mirroring exchanges.
    """
    group = SYMMETRIES[symmetry.group]
    swaps = swaps if group.reflections else ()
    text = f"Equivariant under {symmetry.group}: {group.words}"
    text += f" in the plane of {_names(symmetry.axes)}" if group.axes == 2 else ""
    text += f"; {swaps[0][0]} and {swaps[0][1]} exchange names" if swaps else ""
    against = [
        order for axis in symmetry.axes for order in orders_against(fingerprint, axis, swaps)
    ]
    if not against:
        return f"{text}."
    warning = (
        f"the network cannot tell labels apart by their position, although"
        f" {order_in_words(against[0], fingerprint.unit)}"
    )
    log.warning("network.symmetry=%s: %s", symmetry.group, warning)
    return f"{text}. But {warning}."


def _names(axes: Sequence[int]) -> str:
    names = ["xyz"[axis] for axis in axes]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
