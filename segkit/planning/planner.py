"""Derive a Plan from a Fingerprint by fixed rules, after nnU-Net (default_experiment_planner.py).

The functions are pure; no file is read.
"""

from __future__ import annotations

from typing import Any

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import UsageError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.fingerprint.usual_spacing import (
    Spacing,
    choose_slice_axis,
    median_size,
    usual_spacing,
    without_slices,
)
from segkit.planning.data_ranges import ranges_of
from segkit.planning.mirroring import Mirroring, choose_mirroring
from segkit.planning.network_stages import build_stages, needs
from segkit.planning.normalization import plan_channels, plan_crop
from segkit.planning.patch import choose_batch, choose_patch
from segkit.planning.symmetry import (
    check_patch,
    check_regions,
    choose_symmetry,
    orbit_size,
    symmetric_mirroring,
    symmetry_reason,
    tied_spacing,
)
from segkit.planning.task import Task
from segkit.planning.topology import LEAST_EDGE, Topology
from segkit.plans.norm_catalogue import NORMS
from segkit.plans.plan import Plan, SymmetryPlan


def make_plan(
    fingerprint: Fingerprint,
    dataset: Dataset,
    network: NetworkConfig,
    plan: PlanConfig,
    batch_size: int | None,
    *,
    mirror: Any = "auto",
) -> Plan:
    """Return the plan for a measured dataset.

    Args:
        fingerprint: measurements of the dataset (`segkit.fingerprint.fingerprint.measure`).
        dataset: names of channels and labels.
        network: settings of the network; fields that are None are chosen here.
        plan: spacing, patch and memory; fields that the user sets take precedence over the rules.
        batch_size: patches per training step, which must fit into memory; None fits the patch for
            a batch of 2 and then chooses between 1 and 2.
        mirror: "auto", "none", "all", or a list of axes to mirror.

    Raises:
        UsageError: a setting does not fit the data; the message says what to choose instead.
    """
    task = Task(
        fingerprint,
        dataset,
        network,
        plan,
        batch_size,
        choose_slice_axis(fingerprint.cases, network.dims),
    )
    return decide(task, mirror)


def decide(task: Task, mirror: Any) -> Plan:
    """Return the plan for a task; see `make_plan`."""
    fingerprint, dataset, network = task.fingerprint, task.dataset, task.network
    symmetry, (spacing, spacing_reason) = _symmetry_and_spacing(task)
    size = median_size(fingerprint.cases, spacing)
    topology, features, patch_reason = choose_patch(task, spacing, size, symmetry)
    batch_size, batch_reason = choose_batch(task, topology.patch, size)
    mirroring = _mirroring(task, symmetry, mirror)
    crop, crop_reason = plan_crop(fingerprint)
    channels, channel_reasons = plan_channels(fingerprint, dataset.channels, crop=crop)
    return Plan(
        name=dataset.name,
        dims=task.dims,
        slice_axis=task.slice_axis,
        channels=channels,
        labels=dict(dataset.labels),
        regions=dict(dataset.regions),
        segments=dict(dataset.segments),
        ignore=dataset.ignore,
        spacing=spacing,
        unit=fingerprint.unit,
        patch=topology.patch,
        batch_size=batch_size,
        mirror_axes=mirroring.axes,
        mirror_swaps=mirroring.swaps,
        crop_to_content=crop,
        network=build_stages(
            topology, features, inputs=len(channels), config=network, symmetry=symmetry
        ),
        needs=needs(network.name),
        training=ranges_of(fingerprint.cases),
        reasons={
            "slices": _slice_reason(task),
            "spacing": spacing_reason,
            "patch": patch_reason + batch_reason,
            "crop": crop_reason,
            **channel_reasons,
            "mirror": mirroring.reason,
            "network": _network_reason(topology, network),
            **_symmetry_reasons(task, symmetry, mirroring),
        },
    )


def _symmetry_and_spacing(task: Task) -> tuple[SymmetryPlan | None, tuple[Spacing, str]]:
    """Return the symmetry of the network, and the spacing with its reason."""
    spacing, reason = _spacing(task)
    symmetry = choose_symmetry(task, spacing)
    check_patch(symmetry, task.plan.patch)
    return symmetry, tied_spacing(symmetry, spacing, reason, given=task.plan.spacing is not None)


def _mirroring(task: Task, symmetry: SymmetryPlan | None, choice: Any) -> Mirroring:
    check_regions(symmetry, list(task.dataset.regions))
    # Regions overlap: a voxel has no single name that mirroring could change.
    names = [] if task.dataset.regions else list(task.dataset.labels)
    mirroring = choose_mirroring(task.fingerprint, names, task.axes, choice)
    return symmetric_mirroring(symmetry, [*names, *task.dataset.regions], mirroring, choice)


def _symmetry_reasons(
    task: Task, symmetry: SymmetryPlan | None, mirroring: Mirroring
) -> dict[str, str]:
    if symmetry is None:
        return {}
    return {"symmetry": symmetry_reason(symmetry, task.fingerprint, mirroring.swaps)}


def _slice_reason(task: Task) -> str:
    if task.slice_axis is None:
        return "The network processes 3D patches (network.dims=3)."
    axis = task.slice_axis
    if all(case.shape[axis] == 1 for case in task.fingerprint.cases):
        return "Every scan is a single slice."
    return (
        f"The network processes single slices (network.dims=2) across {'xyz'[axis]}, where voxels"
        " are coarsest or fewest."
    )


def _spacing(task: Task) -> tuple[Spacing, str]:
    given = task.plan.spacing
    if given is None:
        return usual_spacing(task.fingerprint.cases, task.slice_axis)
    if len(given) != 3 or min(given[axis] for axis in task.axes) <= 0:
        raise UsageError(
            f"plan.spacing={list(given)} needs three positive numbers, for X, Y and Z."
        )
    return without_slices(
        [float(edge) for edge in given], task.slice_axis
    ), "As asked (plan.spacing)."


def _network_reason(topology: Topology, network: NetworkConfig) -> str:
    count = len(topology.strides) - 1
    times = [sum(stride[axis] == 2 for stride in topology.strides) for axis in range(3)]
    by_rule = (
        NORMS[network.norm].groups == "fitted"
        and network.channels_per_group == "auto"
        and network.num_groups is None
    )
    groups = (
        "GroupNorm groups as small as possible with 64 values or more in each"
        if by_rule
        else f"{network.norm} norm as asked"
    )
    if by_rule and orbit_size(network) > 1:
        groups += f", each of whole orbits of {orbit_size(network)} channels"
    if network.norm == "group_ws":
        groups += ", after standardized kernels in all layers but those that see the image"
    return (
        f"{count} downsamplings (x {times[0]}, y {times[1]}, z {times[2]}), no axis"
        f" shorter than {LEAST_EDGE} voxels; {groups}."
    )
