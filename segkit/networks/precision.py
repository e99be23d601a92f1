"""Precision and memory format in which a network computes, and the speed of bfloat16 on a CPU."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.networks.kernels.memory_format import CHANNELS_LAST
from segkit.sliding_window.windows import Network

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Data type of autocast for each precision; None computes without autocast."""
MEMORY_FORMATS = ("channels_last", "contiguous")
"""Values of trainer.layout other than auto."""
EMULATED = 4.0
"""Time in bfloat16 by that in float32, of a small convolution on a CPU, from which it is emulated.

The ratio then grows with the layer: 12 at 12 x 12 x 12 voxels and 77 at 40 x 40 x 40 (PyTorch 2.13
on a CPU with AVX2 only), so that a layer takes seconds and a window may take a minute.
"""
ROUNDS = 4
"""Rounds of a timing; the first one, in which kernels are created, is never the fastest."""


@dataclass(frozen=True)
class ComputeMode:
    """Precision and memory format of a network, and the seconds that a training step takes.

    The names of the fields are keys in files; ``layout`` is the memory format of tensors, as
    trainer.layout names it. ``seconds`` is 0 if no step was timed.
    """

    precision: str
    layout: str
    seconds: float = 0.0

    def wrap(self, network: nn.Module) -> Network:
        """Return ``network`` as a function whose input is converted to the memory format."""
        return lambda windows: network(to_memory_format(windows, self.layout))

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which the network must run."""
        return autocast(self.precision, device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes in ``precision`` (a key of AUTOCAST)."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def to_memory_format(tensor: Tensor, memory_format: str) -> Tensor:
    """Return ``tensor`` (B, C, X, Y[, Z]) in one of MEMORY_FORMATS."""
    if memory_format == "contiguous":
        return tensor.contiguous()
    return tensor.contiguous(memory_format=CHANNELS_LAST[tensor.ndim])


def network_to_memory_format(network: nn.Module, memory_format: str) -> nn.Module:
    """Convert the kernels of ``network`` in place to one of MEMORY_FORMATS, and return it."""
    for parameter in network.parameters():
        if parameter.ndim >= 4:
            parameter.data = to_memory_format(parameter.data, memory_format)
    return network


def bfloat16_time_ratio(layer: nn.Module, image: Tensor) -> float:
    """Return the CPU time of ``layer`` on ``image`` (B, C, ...) in bfloat16, relative to float32.

    The two precisions are timed in turn, so that a busy machine slows down both of them; the
    fastest of ROUNDS runs counts.
    """
    fastest = {"float32": math.inf, "bfloat16": math.inf}
    for _ in range(ROUNDS):
        for precision, best in fastest.items():
            fastest[precision] = min(best, _seconds(layer, image, precision))
    return fastest["bfloat16"] / fastest["float32"]


def cpu_bfloat16_time_ratio() -> float:
    """Return `bfloat16_time_ratio` of a small convolution, which takes milliseconds."""
    return bfloat16_time_ratio(nn.Conv3d(32, 32, 3), torch.zeros(1, 32, 12, 12, 12))


@torch.inference_mode()
def _seconds(layer: nn.Module, image: Tensor, precision: str) -> float:
    start = time.perf_counter()
    with autocast(precision, torch.device("cpu")):
        layer(image)
    return time.perf_counter() - start
