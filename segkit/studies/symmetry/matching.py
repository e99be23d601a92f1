"""Widths of an equivariant network whose cost is that of a plain one, found by counting.

Costs are counted from plans (`segkit.plans.convolutions`), without building a network. This module
does not import torch.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from segkit.config.schema import NetworkConfig
from segkit.planning.network_stages import build_stages
from segkit.planning.topology import Topology
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.plans.plan import Plan, SymmetryPlan

Widths = tuple[int, ...]
"""Number of channels of each stage."""
LARGEST_SCALE = 2.0
"""Largest factor of the widths, as a multiple of the root of the group's order.

With that root itself a network of large widths has as many parameters as the plain one.
"""


@dataclass(frozen=True)
class Cost:
    """Cost of a network."""

    multiply_adds: int
    """Number of multiply-adds of a prediction of one window."""
    parameters: int
    """Number of trainable parameters."""


def cost_of(plan: Plan) -> Cost:
    """Return the cost of the network of a plan."""
    parts = convolutions(plan)
    return Cost(multiply_adds(parts), parameters(parts))


def widths_of(plan: Plan) -> Widths:
    """Return the number of channels of each stage of the encoder."""
    return tuple(stage.layers[-1].channels for stage in plan.network.encoder)


def with_network(
    plan: Plan, widths: Sequence[int], network: NetworkConfig, symmetry: SymmetryPlan | None
) -> Plan:
    """Return the plan with a network of other widths and, perhaps, of a group.

    Kernels and strides stay as they are.

    Args:
        plan: a plan with a U-Net.
        widths: number of channels of each stage, multiples of the order of the group.
        network: settings of the network.
        symmetry: group of an equivariant network, or None.

    Raises:
        UsageError: a norm that does not fit a layer.
    """
    stages = plan.network.encoder
    topology = Topology(
        plan.patch, tuple(stage.kernel for stage in stages), tuple(stage.stride for stage in stages)
    )
    made = build_stages(
        topology, widths, inputs=len(plan.channels), config=network, symmetry=symmetry
    )
    return dataclasses.replace(plan, network=made)


def matched_widths(
    widths: Sequence[int],
    order: int,
    count: Callable[[Widths], int],
    target: int,
    *,
    fits: Callable[[Widths], bool] = lambda _widths: True,
) -> Widths | None:
    """Return the widths, all multiples of ``order``, whose count is nearest to ``target``.

    Nearest is the smallest ratio, and of two equally near ones the smaller. First all widths are
    scaled by one factor and rounded; then one stage may have ``order`` channels more or less.
    None if no widths fit.

    >>> matched_widths((4, 8), 2, lambda widths: widths[0] * widths[1], 70)
    (6, 12)

    Args:
        widths: widths of the plain network.
        order: number of elements of the group.
        count: function from widths to a cost, which grows with each of them.
        target: the cost of the plain network.
        fits: function that says whether a network can have the widths.
    """
    scaled = [one for one in _scaled(widths, order) if fits(one)]
    first = bisect.bisect_left(scaled, target, key=count)
    around = scaled[max(0, first - 1) : first + 1]
    found = [one for start in around for one in (start, *_neighbors(start, order)) if fits(one)]
    return min(
        found, key=lambda one: (abs(math.log(count(one) / target)), count(one)), default=None
    )


def _scaled(widths: Sequence[int], order: int) -> Iterator[Widths]:
    """Yield all widths that a factor and rounding give, in ascending order."""
    largest = LARGEST_SCALE * math.sqrt(order) + order / min(widths)
    steps = range(1, math.ceil(largest * max(widths) / order) + 1)
    factors = sorted({(step + 0.5) * order / width for width in widths for step in steps})
    last: Widths | None = None
    for factor in (0.0, *(factor for factor in factors if factor <= largest)):
        now = tuple(order * max(1, math.floor(factor * width / order + 0.5)) for width in widths)
        if now != last:
            yield now
        last = now


def _neighbors(widths: Widths, order: int) -> Iterator[Widths]:
    """Yield the widths in which one stage differs by ``order``, and none shrinks on the way down.

    The deepest stages of a plain network may have equal widths.
    """
    for stage, width in enumerate(widths):
        for other in (width - order, width + order):
            one = (*widths[:stage], other, *widths[stage + 1 :])
            if other > 0 and list(one) == sorted(one):
                yield one
