"""The largest patch and the widest network that train in a given memory.

The planner's estimate of memory gives a first candidate. From there real steps decide, each in a
process of its own: the largest that fits is returned once the next larger one does not.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from segkit.config.schema import TrainerConfig
from segkit.errors import UsageError
from segkit.planning.network_stages import BYTES_PER_ELEMENT, elements
from segkit.planning.topology import LEAST_EDGE
from segkit.plans.plan import LayerPlan, NetworkPlan, Plan, StagePlan, three
from segkit.plans.symmetry_rules import order
from segkit.studies.normalization.measurement import Measurement
from segkit.units import size_text

log = logging.getLogger(__name__)

WIDTH_STEP = 8
"""Widths of the first stage that are tried are multiples of this number of channels, and of the
channels of an orbit in an equivariant network."""
MOST = 64
"""Largest number that is tried, of steps of an edge or a width."""

FIRST_SCALE = 2.0
"""Ratio of cost to estimate before anything is measured: a step that takes far too much is slow."""

Vary = Literal["patch", "width"]
StepMemory = Callable[[Plan, TrainerConfig], int | None]
"""Function that returns the bytes of a training step; None is out of memory."""


@dataclass(frozen=True)
class Capacity:
    """The largest plan that fits, and the memory of its training step."""

    plan: Plan
    bytes: int
    is_largest: bool
    """False if even the largest plan that is tried fits."""


def estimated_bytes(plan: Plan) -> float:
    """Return the planner's estimate of the memory of a training step, in bytes."""
    count = elements(plan.network, plan.patch, len(plan.label_values))
    return plan.batch_size * count * BYTES_PER_ELEMENT


def with_patch(plan: Plan, number: int) -> Plan:
    """Return the plan with a patch whose shortest edge is ``number + 3`` times its divisor.

    Number 1 has the shortest edge at the bottleneck that the planner allows. The edges keep their
    ratios as far as multiples of the network's strides allow.
    """
    divisor = plan.network.divisor
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    shortest = min(plan.patch[axis] // divisor[axis] for axis in axes)
    factor = (number + LEAST_EDGE - 1) / shortest
    counts = [round(factor * plan.patch[axis] / divisor[axis]) for axis in range(3)]
    patch = three(
        [counts[axis] * divisor[axis] if axis in axes else plan.patch[axis] for axis in range(3)]
    )
    return dataclasses.replace(plan, patch=patch, network=plan.network.for_patch(patch))


def with_width(plan: Plan, number: int) -> Plan:
    """Return the plan with ``number`` steps of channels in the first stage (see WIDTH_STEP).

    The other stages are as many times as wide, and groups keep their channels where they divide.
    """
    first, orbit = plan.network.encoder[0].layers[0].channels, order(plan.network)
    width = number * math.lcm(WIDTH_STEP, orbit)

    def widened(stages: Sequence[StagePlan]) -> tuple[StagePlan, ...]:
        return tuple(
            dataclasses.replace(
                stage,
                layers=tuple(_widened(layer, width, first, orbit) for layer in stage.layers),
            )
            for stage in stages
        )

    network: NetworkPlan = dataclasses.replace(
        plan.network, encoder=widened(plan.network.encoder), decoder=widened(plan.network.decoder)
    )
    return dataclasses.replace(plan, network=network)


def _widened(layer: LayerPlan, width: int, first: int, orbit: int) -> LayerPlan:
    channels = max(1, layer.channels * width // first // orbit) * orbit
    if layer.groups <= 1:
        return dataclasses.replace(layer, channels=channels)
    per_group = math.gcd(layer.channels // layer.groups, channels)
    return dataclasses.replace(layer, channels=channels, groups=channels // per_group)


VARIED: dict[Vary, Callable[[Plan, int], Plan]] = {"patch": with_patch, "width": with_width}


NAMES: dict[Vary, str] = {"patch": "largest_patch_voxels", "width": "largest_width"}
"""Name of the measure of what is varied."""


def largest_that_trains(
    plan: Plan,
    trainer: TrainerConfig,
    *,
    vary: Vary,
    memory: int,
    step_memory: StepMemory,
) -> Capacity:
    """Return the largest variant of a plan whose training step takes at most ``memory`` bytes.

    Args:
        plan: network, patch and batch size; one of them is varied.
        trainer: accumulation, optimizer, precision and memory format, not "auto".
        vary: what is enlarged, the patch or the width.
        memory: bytes that a step may take.
        step_memory: measures a step; see `StepProcess`.

    Raises:
        UsageError: not even the smallest variant fits.
    """
    variant = functools.partial(VARIED[vary], plan)
    estimates = [estimated_bytes(variant(number)) for number in range(1, MOST + 1)]
    measured: dict[int, int | None] = {}

    def measure(number: int) -> float:
        measured[number] = found = step_memory(variant(number), trainer)
        return math.inf if found is None else found

    number = largest_within(memory, estimates, measure)
    best = measured.get(number)
    if best is None:
        raise UsageError(
            f"{size_text(memory)} are too little for a training step of any {vary} with batches of "
            f"{plan.batch_size}. Give more memory, or a smaller network."
        )
    return Capacity(variant(number), best, is_largest=number < MOST)


def capacity_measurements(
    plan: Plan,
    trainer: TrainerConfig,
    *,
    memory: int,
    batch_sizes: Sequence[int],
    step_memory: StepMemory,
) -> Iterator[Measurement]:
    """Yield the largest patch and the largest width at each batch size, in the same memory.

    Smaller batches are accumulated, so that a step sees as many patches as with the largest one.

    Args:
        plan: the network and its patch.
        trainer: optimizer, precision and memory format, not "auto".
        memory: bytes that a step may take.
        batch_sizes: numbers of patches per batch.
        step_memory: measures a step; see `StepProcess`.
    """
    for size in batch_sizes:
        sized = dataclasses.replace(plan, batch_size=size)
        accumulating = dataclasses.replace(
            trainer, batch_size=size, accumulate=max(1, max(batch_sizes) // size)
        )
        for vary, name in NAMES.items():
            try:
                found = largest_that_trains(
                    sized, accumulating, vary=vary, memory=memory, step_memory=step_memory
                )
            except UsageError as error:
                log.warning("%s", error)
                yield Measurement(name, 0, batch=size)
                continue
            if not found.is_largest:
                log.warning("%s at batch size %d: the largest that was tried fits", name, size)
            yield Measurement(name, _extent(found.plan, vary), batch=size)


def _extent(plan: Plan, vary: Vary) -> int:
    """Return the voxels of the patch, or the channels of the first stage."""
    return math.prod(plan.patch) if vary == "patch" else plan.network.encoder[0].layers[0].channels


def largest_within(
    limit: float, estimates: Sequence[float], measure: Callable[[int], float]
) -> int:
    """Return the largest number, from 1, whose measured cost is within a limit; 0 if none is.

    Costs rise with the number. The next one to measure is where the estimates reach the limit,
    multiplied by the ratio of cost to estimate that was measured last, or first by FIRST_SCALE.

    Args:
        limit: largest cost.
        estimates: estimated cost of 1, 2, 3, ...
        measure: returns the real cost of a number.

    >>> asked = []
    >>> largest_within(100, [1, 4, 9, 16, 25, 36], lambda n: asked.append(n) or 3 * n**2), asked
    (5, [6, 5])
    """
    low, high, scale = 0, len(estimates) + 1, FIRST_SCALE
    while high - low > 1:
        within = bisect.bisect_right(estimates, limit / scale)
        number = min(max(within, low + 1), high - 1)
        cost = measure(number)
        low, high = (number, high) if cost <= limit else (low, number)
        scale = max(cost, 1) / estimates[number - 1] if math.isfinite(cost) else 2 * scale
    return low
