"""Cost of a plan: parameters, multiply-adds, memory of a training step, seconds per scan.

Parameters and multiply-adds are exact counts. Bytes that a step keeps for its backward pass are
counted layer by layer; the whole memory of a step and all times follow from counts by the rates of
a machine, which `segkit.studies.scaling.calibration` measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.networks.kernels.convolution import ONE_DNN_FROM
from segkit.plans.convolutions import Convolution, convolutions, multiply_adds, parameters
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import count_windows
from segkit.volume import Shape

OVERLAP = 0.5
"""Overlap of windows at which a scan is predicted and Dice is compared."""
BYTES_PER_PARAMETER = {"muon": 16, "adamw": 20, "sgd": 16}
"""Bytes of weight, gradient, moments of the optimizer and running average; norms, biases and heads
have two moments with muon too, but are few."""
IN_PLACE = ("leaky_relu", "relu")
"""Activations that keep only their output, which the next convolution keeps anyway."""


@dataclass(frozen=True)
class Mode:
    """Settings of a training step on which its memory depends."""

    precision: str = "float32"
    """float32, bfloat16 or float16, not auto."""
    optimizer: str = "muon"
    device: str = "cpu"
    """cpu or cuda."""


@dataclass(frozen=True)
class Line:
    """Linear model of a cost: ``per_first`` and ``per_second`` times two counts, plus ``fixed``."""

    per_first: float
    per_second: float = 0.0
    fixed: float = 0.0

    def at(self, first: float, second: float) -> float:
        """Return the cost of two counts.

        >>> Line(2.0, 3.0, 1.0).at(10, 100)
        321.0
        """
        return self.per_first * first + self.per_second * second + self.fixed

    def times(self, factor: float) -> Line:
        """Return the line of costs that are ``factor`` times as large."""
        return Line(self.per_first * factor, self.per_second * factor, self.fixed * factor)


@dataclass(frozen=True)
class Rates:
    """Rates of a machine: how its memory and its seconds follow from counts."""

    memory: Line
    """Bytes of a step from bytes kept for the backward pass, and bytes of the parameters."""
    window: Line
    """Seconds of a window in prediction from its multiply-adds, and elements of all outputs."""
    step: Line
    """Seconds of a training step from the same counts of its whole batch."""


@dataclass(frozen=True)
class Cost:
    """Cost of a plan. What depends on a machine is None if its rates are not known."""

    parameters: int
    """Trainable parameters, with the heads of deep supervision."""
    multiply_adds: int
    """Multiply-adds of one window in prediction."""
    windows: int
    """Windows of a typical scan at OVERLAP."""
    kept_bytes: int
    """Bytes that a training step keeps for its backward pass, without the parameters."""
    memory: float | None
    """Bytes of a training step."""
    step_seconds: float | None
    """Seconds of a training step."""
    seconds: float | None
    """Seconds per scan: those of all windows, without reading and writing."""


def cost_of(plan: Plan, *, size: Shape, mode: Mode, rates: Rates | None = None) -> Cost:
    """Return the cost of a plan of one of segkit's own U-Nets.

    Args:
        plan: network, patch and batch size.
        size: a typical scan (X, Y, Z) in voxels.
        mode: precision, optimizer and device of the trainings.
        rates: rates of the machine.

    Raises:
        InputError: a network whose convolutions the plan does not list.
    """
    parts = convolutions(plan)
    weights, work, outputs = parameters(parts), multiply_adds(parts), output_elements(parts)
    windows = windows_of(plan, size)
    kept = kept_bytes(plan, parts, mode)
    memory = step = seconds = None
    if rates is not None:
        memory = rates.memory.at(kept, weights * BYTES_PER_PARAMETER[mode.optimizer])
        step = rates.step.at(plan.batch_size * work, plan.batch_size * outputs)
        seconds = windows * rates.window.at(work, outputs)
    return Cost(weights, work, windows, kept, memory, step, seconds)


def windows_of(plan: Plan, size: Shape) -> int:
    """Return the number of windows of a scan at OVERLAP."""
    x, y, z = (
        1 if axis == plan.slice_axis else max(edge, window)
        for axis, (edge, window) in enumerate(zip(size, plan.patch, strict=True))
    )
    slices = 1 if plan.slice_axis is None else size[plan.slice_axis]
    return slices * count_windows((x, y, z), plan.patch, OVERLAP)


def output_elements(parts: Sequence[Convolution]) -> int:
    """Return the elements of the outputs of all convolutions for one window."""
    return sum(part.out_channels * math.prod(part.size) for part in parts)


def kept_bytes(plan: Plan, parts: Sequence[Convolution], mode: Mode) -> int:
    """Return the bytes that autograd keeps of one batch, without the parameters and the loss.

    A norm keeps its input, and an activation in place its output, which is the input of the next
    convolution; another activation also keeps its own input. The first convolution of a decoder
    stage keeps the concatenation, which is twice as large as the upsampled features. Autocast keeps
    a copy of all kernels in half precision.

    Args:
        plan: the plan.
        parts: its convolutions.
        mode: precision and device.
    """
    tensors = 2 if plan.network.activation in IN_PLACE else 3
    width = 4 if mode.precision == "float32" else 2
    elements = len(plan.channels) * math.prod(plan.patch)
    for part in parts:
        voxels = part.out_channels * math.prod(part.size)
        elements += voxels * (2 if part.transposed else tensors if part.norm else 0)
    elements *= plan.batch_size
    if mode.precision != "float32":
        elements += parameters(parts)
    elif mode.device == "cpu" and plan.batch_size == 1:
        elements += sum(_halves(part, plan.slice_axis) for part in parts)
    return width * elements


def _halves(part: Convolution, slice_axis: int | None) -> int:
    """Return the elements of the copy that a convolution in halves keeps of its input.

    See `segkit.networks.kernels.convolution`. A concatenation is not kept besides the copy.
    """
    step = part.kernel if part.transposed else part.stride
    edges = [
        edge // by if part.transposed else edge * by
        for axis, (edge, by) in enumerate(zip(part.size, step, strict=True))
        if axis != slice_axis
    ]
    if part.in_channels * math.prod(edges[:2]) > ONE_DNN_FROM or max(edges) == 1:
        return 0
    longest = max(range(len(edges)), key=edges.__getitem__)
    voxels = part.in_channels * math.prod(edges)
    border = 0 if part.transposed else 2 * (part.kernel[_axis(longest, slice_axis)] - 1)
    copy = voxels // edges[longest] * (edges[longest] + border)
    return copy - (voxels if len(part.reads) > 1 else 0)


def _axis(number: int, slice_axis: int | None) -> int:
    """Return the axis of a plan of the spatial axis ``number`` of a network."""
    return [axis for axis in range(3) if axis != slice_axis][number]
