"""Choose patch size and batch size, and the number of stages and channels that the patch allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segkit.errors import UsageError
from segkit.fingerprint.usual_spacing import Spacing
from segkit.planning.network_stages import BYTES_PER_ELEMENT, activation_elements, default_features
from segkit.planning.symmetry import orbit_size, symmetry_name
from segkit.planning.task import LARGEST_BATCH, Task
from segkit.planning.topology import LEAST_EDGE, Topology, find_topology
from segkit.plans.norm_catalogue import uses_batch_statistics
from segkit.plans.plan import SymmetryPlan
from segkit.units import parse_size
from segkit.volume import Shape

Axes = tuple[int, ...]
"""Numbers of axes: 0 X, 1 Y, 2 Z."""
LARGEST_PATCH = {2: 2048**2, 3: 256**3}
"""Number of voxels of the patch with which the search starts, by number of dimensions."""
DEFAULT_MEMORY = {2: "250MB", 3: "500MB"}
"""Memory of a training step with plan.memory=auto on a CPU, where many small steps are better."""


def choose_batch(task: Task, patch: Shape, size: Shape) -> tuple[int, str]:
    """Return the batch size and the reason for it.

    Unless the user gives one, it is 2 if a patch covers a whole typical scan, and 1 otherwise, for
    twice as many steps in the same time. GroupNorm normalizes each patch separately, so nothing is
    lost; with norms that have statistics of a batch it is always 2.

    Args:
        task: the dataset and the user's choices.
        patch: patch size (X, Y, Z) in voxels.
        size: size of a typical scan (X, Y, Z) in voxels at the plan's spacing.
    """
    if task.batch_asked:
        return task.batch_asked, ""
    whole_scan = all(patch[axis] >= size[axis] for axis in task.axes)
    if whole_scan or uses_batch_statistics(task.network.norm):
        return LARGEST_BATCH, ""
    return 1, " A step takes one patch only: more steps learn more in the same time."


def choose_patch(
    task: Task, spacing: Spacing, size: Shape, symmetry: SymmetryPlan | None = None
) -> tuple[Topology, list[int], str]:
    """Return the topology of the patch, the number of channels of each stage, and the reason.

    The patch is the one that the user gives, or the largest that fits into the memory.

    Args:
        task: the dataset and the user's choices.
        spacing: voxel spacing of the plan (X, Y, Z).
        size: size of a typical scan (X, Y, Z) in voxels at that spacing.
        symmetry: symmetry of the network. Along the axes that it turns into each other, the patch
            has equal edges, and about as many voxels as it would have without.

    Raises:
        UsageError: the patch or the number of channels does not fit, or there is too little memory
            for any patch.
    """
    edges = _edges(spacing)
    if task.plan.patch is not None:
        return _given_patch(task, edges)
    tied = symmetry.axes if symmetry else ()
    topology = _topology(task, _tied(_first_patch(edges, size, task.axes), tied), edges)
    shrunk = False
    while _needed(task, topology) > _budget(task):
        smaller = _shrink(task, topology, edges, size, tied)
        if smaller is None:
            raise UsageError(
                f"plan.memory={task.plan.memory} is too little for a batch of {task.batch_size} of"
                " any patch. Give more, a smaller trainer.batch_size, or smaller network.features."
            )
        topology = smaller
        shrunk = True
    return topology, _features(task, topology), _patch_reason(task, topology, size, shrunk, tied)


def _tied(patch: Sequence[int], tied: Axes) -> list[int]:
    """Return a patch of about as many voxels with equal edges along the axes ``tied``."""
    if not tied:
        return list(patch)
    edge = round(math.prod(patch[axis] for axis in tied) ** (1 / len(tied)))
    return [edge if axis in tied else size for axis, size in enumerate(patch)]


def _patch_reason(task: Task, topology: Topology, size: Shape, shrunk: bool, tied: Axes) -> str:
    extent = "is cut down to fit the memory" if shrunk else "covers a whole typical scan"
    if not shrunk and any(topology.patch[axis] < size[axis] for axis in tied):
        extent = "has about as many voxels as a typical scan"
    equal = (
        f" and are equal along {', '.join('xyz'[axis] for axis in tied)}" if len(tied) > 1 else ""
    )
    return (
        f"Typical scan {_text(size)} voxels at this spacing; the patch {extent}, with edges that"
        f" can be halved{equal}. A batch of {task.batch_size} needs about"
        f" {_needed(task, topology) / 1e9:.2g} GB."
    )


def _edges(spacing: Spacing) -> list[float]:
    return [edge or 1.0 for edge in spacing]


def _given_patch(task: Task, edges: Sequence[float]) -> tuple[Topology, list[int], str]:
    given = task.plan.patch or []
    if len(given) != 3 or min(given) < 1:
        raise UsageError(
            f"plan.patch={list(given)} needs three whole numbers of at least 1, for X, Y and Z."
        )
    wanted = [given[axis] if axis in task.axes else 1 for axis in range(3)]
    topology = _topology(task, wanted, edges)
    rounded = ""
    if topology.patch != tuple(wanted):
        rounded = f", rounded up from {_text(wanted)} to edges that can be halved"
    return topology, _features(task, topology), f"As asked (plan.patch){rounded}."


def _first_patch(edges: Sequence[float], size: Shape, axes: Sequence[int]) -> list[int]:
    """Return a patch of LARGEST_PATCH voxels that is a cube in mm, cut to a typical scan."""
    density = {axis: 1 / edges[axis] for axis in axes}
    factor = (LARGEST_PATCH[len(axes)] / math.prod(density.values())) ** (1 / len(axes))
    return [
        min(round(density[axis] * factor), size[axis]) if axis in axes else 1 for axis in range(3)
    ]


def _topology(task: Task, patch: Sequence[int], edges: Sequence[float]) -> Topology:
    features = task.network.features
    topology = find_topology(
        patch, edges, axes=task.axes, stages=len(features) if features else None
    )
    if len(topology.strides) == 1:
        # The patch is too small to be halved even once: enlarge it, and scans will be padded.
        enlarged = [
            max(patch[axis], 2 * LEAST_EDGE) if axis in task.axes else 1 for axis in range(3)
        ]
        topology = find_topology(
            enlarged, [1.0] * 3, axes=task.axes, stages=len(features) if features else None
        )
    return topology


def _features(task: Task, topology: Topology) -> list[int]:
    stages, given = len(topology.strides), task.network.features
    if given is None:
        return _default_features(task, stages)
    if len(given) < 2 or min(given) < 1:
        raise UsageError(
            f"network.features={list(given)} needs at least two stages of at least one channel."
        )
    if len(given) > stages:
        raise UsageError(
            f"network.features={list(given)} has {len(given)} stages, but the patch"
            f" {_text(topology.patch)} can only be halved {stages - 1} times: give at most {stages}"
            " numbers, or a larger plan.patch."
        )
    orbit = orbit_size(task.network)
    if any(width % orbit for width in given):
        fitting = [-(-width // orbit) * orbit for width in given]
        raise UsageError(
            f"network.features={list(given)} must be multiples of {orbit}, the number of elements"
            f" of network.symmetry={symmetry_name(task.network)}, such as"
            f" {str(fitting).replace(' ', '')}."
        )
    return list(given)


def _default_features(task: Task, stages: int) -> list[int]:
    network = task.network
    return default_features(
        stages, task.dims, network.name, network.widths, orbit=orbit_size(network)
    )


def _budget(task: Task) -> int:
    return parse_size(DEFAULT_MEMORY[task.dims] if task.plan.memory == "auto" else task.plan.memory)


def _needed(task: Task, topology: Topology) -> float:
    """Return the number of bytes that a training step needs."""
    stages = len(topology.strides)
    features = (task.network.features or _default_features(task, stages))[:stages]
    inputs, outputs = len(task.dataset.channels), len(task.dataset.labels) + 1
    elements = activation_elements(
        topology, features, inputs=inputs, outputs=outputs, config=task.network
    )
    return task.batch_size * elements * BYTES_PER_ELEMENT


def _shrink(
    task: Task, topology: Topology, edges: Sequence[float], size: Shape, tied: Axes
) -> Topology | None:
    """Shorten the axis that covers most of a typical scan by the smallest effective step.

    The axes ``tied`` are shortened together. Return None if no axis can be shortened.
    """
    patch = topology.patch
    for axis in sorted(task.axes, key=lambda a: -patch[a] / size[a]):
        axes = tied if axis in tied else (axis,)
        step = topology.divisor[axis]
        if patch[axis] - step < LEAST_EDGE:
            continue
        # One halving less may allow half the step (nnU-Net does the same).
        fine = _topology(task, _cut(patch, axes, step), edges).divisor[axis]
        for cut in (min(fine, step), step):
            smaller = _topology(task, _cut(patch, axes, cut), edges)
            if math.prod(smaller.patch) < math.prod(patch):
                return smaller
    return None


def _cut(patch: Shape, axes: Axes, voxels: int) -> list[int]:
    return [edge - voxels if axis in axes else edge for axis, edge in enumerate(patch)]


def _text(shape: Sequence[int]) -> str:
    return " x ".join(str(edge) for edge in shape)
