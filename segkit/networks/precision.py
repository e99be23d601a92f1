"""In which precision and memory layout a network computes, and what bfloat16 is worth on this machine."""

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
LAYOUTS = ("channels_last", "contiguous")
ROUNDS = 4
"""Of a comparison; the first, in which kernels are made, is never the fastest."""


@dataclass(frozen=True)
class Mode:
    """How the network computes, and the seconds one training step took when it was chosen."""

    precision: str
    layout: str
    seconds: float = 0.0

    def wrap(self, network: nn.Module) -> Network:
        """``network`` fed in the mode's layout."""
        return lambda windows: network(to_layout(windows, self.layout))

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context in which the network runs."""
        return autocast(self.precision, device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a network computes in ``precision``."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def to_layout(tensor: Tensor, layout: str) -> Tensor:
    """``tensor`` (B, C, ...) in the memory layout ``layout``."""
    if layout == "contiguous":
        return tensor.contiguous()
    return tensor.contiguous(memory_format=CHANNELS_LAST[tensor.ndim])


def network_to_layout(network: nn.Module, layout: str) -> nn.Module:
    """``network`` with its kernels in ``layout``; vectors have none."""
    for parameter in network.parameters():
        if parameter.ndim >= 4:
            parameter.data = to_layout(parameter.data, layout)
    return network


def bfloat16_share(layer: nn.Module, image: Tensor) -> float:
    """The CPU's time for ``layer`` on ``image`` in bfloat16, as a share of that in float32.

    Each is the fastest of a few turns; they take turns, so that a busy machine slows both alike.
    """
    fastest = {"float32": math.inf, "bfloat16": math.inf}
    for _ in range(ROUNDS):
        for precision, best in fastest.items():
            fastest[precision] = min(best, _seconds(layer, image, precision))
    return fastest["bfloat16"] / fastest["float32"]


@torch.inference_mode()
def _seconds(layer: nn.Module, image: Tensor, precision: str) -> float:
    start = time.perf_counter()
    with autocast(precision, torch.device("cpu")):
        layer(image)
    return time.perf_counter() - start
