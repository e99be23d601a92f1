"""Seconds of single convolutions, and of whole networks, measured on this machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segkit.inference.scoring.window_scorer import MEMORY_FORMAT, WindowScorer
from segkit.networks.blocks import ConvBlock, convolution, upsampling
from segkit.networks.precision import autocast, network_to_memory_format, to_memory_format
from segkit.networks.unet import spatial_axes
from segkit.plans.convolutions import Convolution, is_deep_head, layer_at, multiply_adds
from segkit.plans.plan import LayerPlan, Plan

LAYER_REPEATS, LEAST_LAYER_REPEATS = 7, 2
"""Most and fewest runs of one convolution, of which the fastest counts: the others were
interrupted."""
LAYER_SECONDS = 0.5
"""Time after which a convolution is not run more often than it must be."""
WARM, REPEATS, LEAST_REPEATS = 3, 25, 3
"""Runs of a whole network before the timing, and most and fewest timed runs."""


class WindowTimes(NamedTuple):
    """Time in which several models score one window."""

    seconds: list[float]
    """Median seconds of each model."""
    runs: int
    """Number of timed runs of each model."""


class ConvolutionTimes:
    """Seconds of convolutions of any width, with their norm and activation, on this machine.

    Each one is measured when it is first asked for. Their sum leaves out only concatenations and
    sums; it says how fast a network is in relation to another one. When the time for it is over,
    a convolution takes as long per multiply-add as those before.
    """

    left: Callable[[], float]
    """Function that returns the seconds that are left for timing."""

    def __init__(self, plan: Plan, *, precision: str, device: torch.device) -> None:
        """
        Args:
            plan: the plan whose convolutions are timed.
            precision: float32, bfloat16 or float16.
            device: where to compute.
        """
        self.plan, self.precision, self.device = plan, precision, device
        self.left = lambda: math.inf
        self._known: dict[tuple[object, ...], float] = {}
        self._work = 0
        """Multiply-adds of all convolutions that were measured."""

    def __call__(self, parts: Sequence[Convolution]) -> float:
        """Return the sum of the seconds of all convolutions that a prediction needs."""
        return sum(self.seconds(part) for part in parts if not is_deep_head(part))

    def seconds(self, part: Convolution) -> float:
        """Return the seconds of one convolution for one window."""
        key = (
            part.in_channels,
            part.out_channels,
            part.kernel,
            part.stride,
            part.size,
            bool(part.norm),
            part.transposed,
        )
        if key in self._known:
            return self._known[key]
        if self._known and self.left() <= 0:
            return sum(self._known.values()) / self._work * multiply_adds([part])
        self._known[key] = self._measured(part)
        self._work += multiply_adds([part])
        return self._known[key]

    def _measured(self, part: Convolution) -> float:
        axes = spatial_axes(self.plan)
        step = part.kernel if part.transposed else part.stride
        edges = [part.size[axis] // step[axis] for axis in axes]
        with torch.random.fork_rng(devices=[]):
            layer = self._layer(part).eval().to(self.device)
        layer = network_to_memory_format(layer, MEMORY_FORMAT)
        window = torch.zeros(1, part.in_channels, *edges, device=self.device)
        window = to_memory_format(window, MEMORY_FORMAT)
        runs: list[float] = []
        with autocast(self.precision, self.device):
            seconds_of(partial(layer, window), self.device)  # the first one creates kernels
            while len(runs) < LEAST_LAYER_REPEATS or (
                len(runs) < LAYER_REPEATS and sum(runs) < LAYER_SECONDS
            ):
                runs.append(seconds_of(partial(layer, window), self.device))
        return min(runs)

    def _layer(self, part: Convolution) -> nn.Module:
        axes = spatial_axes(self.plan)
        kernel, stride = ([edges[axis] for axis in axes] for edges in (part.kernel, part.stride))
        if part.transposed:
            return upsampling(part.in_channels, part.out_channels, kernel)
        if part.position is None:
            return convolution(
                part.in_channels, part.out_channels, kernel=kernel, stride=stride, bias=True
            )
        layer = layer_at(self.plan.network, part.position)
        groups = layer.groups * part.out_channels // layer.channels
        return ConvBlock(
            part.in_channels,
            LayerPlan(layer.name, part.out_channels, layer.norm, groups, layer.voxels),
            kernel=kernel,
            stride=stride,
            activation=self.plan.network.activation,
        )


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that one call of ``run`` takes, on a GPU until it has computed."""
    start = time.perf_counter()
    with torch.inference_mode():
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def window_seconds(
    scorers: Sequence[WindowScorer], window: Tensor, *, seconds: float = math.inf
) -> WindowTimes:
    """Return the median seconds in which each of several models scores one window.

    They take turns, so that a busy machine slows down all of them, and are warm.

    Args:
        scorers: the models, on their device.
        window: (1, C, X, Y[, Z]).
        seconds: time after which there are no more turns than LEAST_REPEATS.
    """
    started, times = time.monotonic(), []
    for turn in range(WARM + REPEATS):
        if turn > LEAST_REPEATS and time.monotonic() - started > seconds:
            break
        times.append([seconds_of(partial(scorer, window), scorer.device) for scorer in scorers])
    warm = min(WARM, len(times) - LEAST_REPEATS)  # at least one
    timed = list(zip(*times[warm:], strict=True))
    return WindowTimes([statistics.median(own) for own in timed], len(times) - warm)
