"""Fingerprint to Plan by fixed rules, after nnU-Net (default_experiment_planner.py). Pure: reads no file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.config import NetworkConfig, PlanConfig
from segkit.dataset import Dataset
from segkit.errors import UsageError
from segkit.memory import parse_size
from segkit.planning.fingerprint import Fingerprint
from segkit.planning.mirror import mirror_axes
from segkit.planning.schemes import plan_channels, plan_crop
from segkit.planning.stages import BYTES_PER_ELEMENT, activation_elements, build_stages, default_features
from segkit.planning.topology import LEAST_EDGE, Topology, find_topology
from segkit.plans import Plan
from segkit.preprocessing.resample import grid_shape
from segkit.volume import Shape

ANISOTROPY = 3.0
"""A coarsest axis beyond this factor is treated apart."""
LARGEST_PATCH = {2: 2048**2, 3: 256**3}
"""Voxels that a patch starts from."""
LARGEST_BATCH = 2
"""That is planned unasked."""
DEFAULT_MEMORY = {2: "250MB", 3: "500MB"}
"""Of a CPU, which wants many small steps."""

Spacing = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class _Task:
    """What the steps of planning share."""

    fingerprint: Fingerprint
    dataset: Dataset
    network: NetworkConfig
    plan: PlanConfig
    batch_size: int
    slice_axis: int | None

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes that the network sees."""
        return tuple(axis for axis in range(3) if axis != self.slice_axis)

    @property
    def dims(self) -> Literal[2, 3]:
        return 3 if self.slice_axis is None else 2


def make_plan(
    fingerprint: Fingerprint,
    dataset: Dataset,
    network: NetworkConfig,
    plan: PlanConfig,
    batch_size: int | None,
    *,
    mirror: Any = "auto",
) -> Plan:
    """Decide everything for a measured dataset.

    Args:
        fingerprint: what `measure` found.
        dataset: names of channels and labels.
        network: the wanted network; None fields are decided here.
        plan: bends of the rules: spacing, patch, memory.
        batch_size: patches per training step, which the memory must hold; None sizes the patch for 2 and decides
            between 1 and 2.
        mirror: auto, none, or a list of axes.

    Raises:
        UsageError: a choice that does not fit the data; the message says what to choose instead.
    """
    task = _Task(
        fingerprint, dataset, network, plan, batch_size or LARGEST_BATCH, _slice_axis(fingerprint, network.dims)
    )
    spacing, spacing_reason = _spacing(task)
    size = median_size(fingerprint, spacing)
    topology, features, patch_reason = _patch(task, spacing, size)
    batch, batch_reason = (batch_size, "") if batch_size else _batch_size(task, topology.patch, size)
    axes, mirror_reason = mirror_axes(fingerprint, task.axes, mirror)
    crop, crop_reason = plan_crop(fingerprint)
    channels, channel_reasons = plan_channels(fingerprint, dataset.channels, crop=crop)
    return Plan(
        name=dataset.name,
        dims=task.dims,
        slice_axis=task.slice_axis,
        channels=channels,
        labels=dict(dataset.labels),
        spacing=spacing,
        unit=fingerprint.unit,
        patch=topology.patch,
        batch_size=batch,
        mirror_axes=axes,
        crop_to_content=crop,
        network=build_stages(topology, features, inputs=len(channels), config=network),
        reasons={
            "slices": _slice_reason(task),
            "spacing": spacing_reason,
            "patch": patch_reason + batch_reason,
            "crop": crop_reason,
            **channel_reasons,
            "mirror": mirror_reason,
            "network": _network_reason(topology, network),
        },
    )


def median_size(fingerprint: Fingerprint, spacing: Spacing) -> Shape:
    """Per-axis median size in voxels of the cropped cases once they are resampled to ``spacing``."""
    sizes = [grid_shape(case.cropped, case.spacing, spacing) for case in fingerprint.cases]
    x, y, z = (max(1, round(float(edge))) for edge in np.median(sizes, axis=0))
    return (x, y, z)


def _slice_axis(fingerprint: Fingerprint, dims: int | None) -> int | None:
    size = np.median([case.shape for case in fingerprint.cases], axis=0)
    edges = np.median([case.spacing for case in fingerprint.cases], axis=0)
    if dims is None:
        dims = 3 if size.min() > 1 else 2
    if dims == 3:
        if size.min() <= 1:
            raise UsageError("network.dims=3: the dataset holds single slices or pictures. Use network.dims=2.")
        return None
    if dims != 2:
        raise UsageError(f"network.dims={dims} must be 2 or 3.")
    single = [axis for axis in range(3) if size[axis] <= 1]
    if single:
        return single[-1]
    coarsest = [axis for axis in range(3) if edges[axis] >= 0.99 * edges.max()]
    return min(reversed(coarsest), key=lambda axis: size[axis])


def _slice_reason(task: _Task) -> str:
    if task.slice_axis is None:
        return "The network sees depth, height and width at once (network.dims=3)."
    axis = task.slice_axis
    if all(case.shape[axis] == 1 for case in task.fingerprint.cases):
        return "Every scan is a single slice."
    return f"The network sees single slices (network.dims=2) across {'xyz'[axis]}, where voxels are coarsest or fewest."


def _spacing(task: _Task) -> tuple[Spacing, str]:
    given = task.plan.spacing
    if given is not None:
        if len(given) != 3 or min(given[axis] for axis in task.axes) <= 0:
            raise UsageError(f"plan.spacing={list(given)} needs three positive numbers, for X, Y and Z.")
        return _without_slices(task, [float(edge) for edge in given]), "As asked (plan.spacing)."
    edges = np.array([case.spacing for case in task.fingerprint.cases])
    target = [float(f"{edge:.5g}") for edge in np.median(edges, axis=0)]
    reason = "The median of the scans along each axis."
    coarse = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != coarse]
    size = median_size(task.fingerprint, (target[0], target[1], target[2]))
    finest_other = max(target[axis] for axis in others)
    thin = size[coarse] * ANISOTROPY < min(size[axis] for axis in others)
    if task.slice_axis is None and target[coarse] > ANISOTROPY * finest_other and thin:
        tenth = float(f"{np.percentile(edges[:, coarse], 10):.5g}")
        target[coarse] = max(tenth, finest_other)
        reason += f" Slices are thick along {'xyz'[coarse]}: there the finest tenth of the scans counts."
    return _without_slices(task, target), reason


def _without_slices(task: _Task, edges: Sequence[float]) -> Spacing:
    x, y, z = (None if axis == task.slice_axis else edges[axis] for axis in range(3))
    return (x, y, z)


def _batch_size(task: _Task, patch: Shape, size: Shape) -> tuple[int, str]:
    """Two patches a step where each shows a whole typical scan, else one, and twice as many steps.

    GroupNorm treats every patch of a batch for itself and misses nothing; BatchNorm does.
    """
    if task.network.norm == "batch" or all(patch[axis] >= size[axis] for axis in task.axes):
        return LARGEST_BATCH, ""
    return 1, " A step takes one patch only: more steps learn more in the same time."


def _patch(task: _Task, spacing: Spacing, size: Shape) -> tuple[Topology, list[int], str]:
    edges = _edges(spacing)
    if task.plan.patch is not None:
        return _given_patch(task, edges)
    topology = _topology(task, _first_patch(edges, size, task.axes), edges)
    shrunk = False
    while _needed(task, topology) > _budget(task):
        smaller = _shrink(task, topology, edges, size)
        if smaller is None:
            raise UsageError(
                f"plan.memory={task.plan.memory} is too little for a batch of {task.batch_size} of any patch."
                " Give more, a smaller trainer.batch_size, or smaller network.features."
            )
        topology = smaller
        shrunk = True
    return topology, _features(task, topology), _patch_reason(task, topology, size, shrunk)


def _patch_reason(task: _Task, topology: Topology, size: Shape, shrunk: bool) -> str:
    whole = "cut down to fit the memory" if shrunk else "a whole typical scan"
    return (
        f"Typical scan {_text(size)} voxels at this spacing; the patch is {whole}, in edges that can be halved."
        f" A batch of {task.batch_size} needs about {_needed(task, topology) / 1e9:.2g} GB."
    )


def _edges(spacing: Spacing) -> list[float]:
    return [edge or 1.0 for edge in spacing]


def _given_patch(task: _Task, edges: Sequence[float]) -> tuple[Topology, list[int], str]:
    given = task.plan.patch or []
    if len(given) != 3 or min(given) < 1:
        raise UsageError(f"plan.patch={list(given)} needs three whole numbers of at least 1, for X, Y and Z.")
    wanted = [given[axis] if axis in task.axes else 1 for axis in range(3)]
    topology = _topology(task, wanted, edges)
    rounded = (
        "" if topology.patch == tuple(wanted) else f", rounded up from {_text(wanted)} to edges that can be halved"
    )
    return topology, _features(task, topology), f"As asked (plan.patch){rounded}."


def _first_patch(edges: Sequence[float], size: Shape, axes: Sequence[int]) -> list[int]:
    """As long in mm along every axis, as many voxels as LARGEST_PATCH, but no longer than a typical scan."""
    density = {axis: 1 / edges[axis] for axis in axes}
    factor = (LARGEST_PATCH[len(axes)] / math.prod(density.values())) ** (1 / len(axes))
    return [min(round(density[axis] * factor), size[axis]) if axis in axes else 1 for axis in range(3)]


def _topology(task: _Task, patch: Sequence[int], edges: Sequence[float]) -> Topology:
    features = task.network.features
    topology = find_topology(patch, edges, axes=task.axes, stages=len(features) if features else None)
    if len(topology.strides) == 1:
        # Too small to be halved even once: enlarge it, scans are padded.
        enlarged = [max(patch[axis], 2 * LEAST_EDGE) if axis in task.axes else 1 for axis in range(3)]
        topology = find_topology(enlarged, [1.0] * 3, axes=task.axes, stages=len(features) if features else None)
    return topology


def _features(task: _Task, topology: Topology) -> list[int]:
    stages, given = len(topology.strides), task.network.features
    if given is None:
        return default_features(stages, task.dims)
    if len(given) < 2 or min(given) < 1:
        raise UsageError(f"network.features={list(given)} needs at least two stages of at least one channel.")
    if len(given) > stages:
        raise UsageError(
            f"network.features={list(given)} has {len(given)} stages, but the patch {_text(topology.patch)} can only be"
            f" halved {stages - 1} times: give at most {stages} numbers, or a larger plan.patch."
        )
    return list(given)


def _budget(task: _Task) -> int:
    return parse_size(DEFAULT_MEMORY[task.dims] if task.plan.memory == "auto" else task.plan.memory)


def _needed(task: _Task, topology: Topology) -> float:
    """Bytes that a training step takes."""
    stages = len(topology.strides)
    features = (task.network.features or default_features(stages, task.dims))[:stages]
    inputs, outputs = len(task.dataset.channels), len(task.dataset.labels) + 1
    elements = activation_elements(topology, features, inputs=inputs, outputs=outputs, config=task.network)
    return task.batch_size * elements * BYTES_PER_ELEMENT


def _shrink(task: _Task, topology: Topology, edges: Sequence[float], size: Shape) -> Topology | None:
    """Cut the axis that covers most of a typical scan by the smallest step that helps; None at the end."""
    patch = topology.patch
    for axis in sorted(task.axes, key=lambda a: -patch[a] / size[a]):
        step = topology.divisor[axis]
        if patch[axis] - step < LEAST_EDGE:
            continue
        # One halving less may allow half the step (nnU-Net does the same).
        fine = _topology(task, _cut(patch, axis, step), edges).divisor[axis]
        for cut in (min(fine, step), step):
            smaller = _topology(task, _cut(patch, axis, cut), edges)
            if math.prod(smaller.patch) < math.prod(patch):
                return smaller
    return None


def _cut(patch: Shape, axis: int, voxels: int) -> list[int]:
    return [edge - voxels if a == axis else edge for a, edge in enumerate(patch)]


def _network_reason(topology: Topology, network: NetworkConfig) -> str:
    count = len(topology.strides) - 1
    times = [sum(stride[axis] == 2 for stride in topology.strides) for axis in range(3)]
    groups = (
        "groups of channels as small as 64 values in each allow" if network.norm == "group" else f"{network.norm} norm"
    )
    return (
        f"{count} downsamplings (x {times[0]}, y {times[1]}, z {times[2]}), none below {LEAST_EDGE} voxels; {groups}."
    )


def _text(shape: Sequence[int]) -> str:
    return " x ".join(str(edge) for edge in shape)
