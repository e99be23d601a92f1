"""A norm layer and its activation, forward and backward: segkit's GroupNorm, PyTorch's, and BatchNorm.

    python benchmarks/norm_layer.py [--threads 1] [--rounds 9]

Milliseconds (medians of interleaved rounds) in channels-last layout, LeakyReLU in place. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.networks.group_norm import GroupNorm
from segkit.training.compute import keep_freed_memory

SHAPES = ((16, (40, 56, 40)), (32, (20, 28, 20)), (64, (10, 14, 10)), (32, (64, 64, 64)))
Edges = tuple[int, int, int]


def main() -> None:
    """Time every shape, batch, group size and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print("| batch, channels, voxels | precision | channels a group | PyTorch | segkit | BatchNorm |")
    print("| --- " * 6 + "|")
    for batch in (1, 2):
        for channels, edges in SHAPES:
            for dtype in (torch.float32, torch.bfloat16):
                for per_group in (2, 8):
                    times = _times((batch, channels, edges), dtype, per_group, arguments.rounds)
                    place = f"{batch}, {channels}, {' x '.join(map(str, edges))}"
                    cells = " | ".join(f"{1000 * seconds:.2f}" for seconds in times)
                    print(f"| {place} | {str(dtype).removeprefix('torch.')} | {per_group} | {cells} |", flush=True)


def _times(size: tuple[int, int, Edges], dtype: torch.dtype, per_group: int, rounds: int) -> list[float]:
    batch, channels, edges = size
    layers = [kind(channels // per_group, channels) for kind in (nn.GroupNorm, GroupNorm)]
    steps = [_step(layer, (batch, channels, *edges), dtype) for layer in (*layers, nn.BatchNorm3d(channels))]
    found: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 2):
        for times, step in zip(found, steps, strict=True):
            start = time.perf_counter()
            step()
            if number >= 2:  # the first ones warm up
                times.append(time.perf_counter() - start)
    return [median(times) for times in found]


def _step(layer: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[], None]:
    def draw() -> Tensor:
        return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last_3d)

    x, gradient = draw().requires_grad_(), draw()

    def step() -> None:
        x.grad = None
        F.leaky_relu_(layer(x), 0.01).backward(gradient)

    return step


if __name__ == "__main__":
    main()
