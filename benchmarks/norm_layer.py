"""Time a norm layer and its activation, forward and backward: segkit's GroupNorm, PyTorch's, and
BatchNorm.

    python benchmarks/norm_layer.py [--threads 1] [--rounds 9] [--device cuda]

Milliseconds (medians of interleaved rounds) in channels-last format, LeakyReLU in place. On a GPU
it runs under autocast, like a training, and a time is a hundredth of a hundred steps. Print a table
in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

import torch
from device_clock import seconds_of
from torch import Tensor, nn

from segkit.networks.kernels.group_norm import GroupNorm
from segkit.training.compute.device import keep_freed_memory

SHAPES = ((16, (40, 56, 40)), (32, (20, 28, 20)), (64, (10, 14, 10)), (32, (64, 64, 64)))
Edges = tuple[int, int, int]
Size = tuple[int, int, Edges]
"""Batch size, channels and voxels of each shape."""


def main() -> None:
    """Time every shape, batch, group size and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print(
        "| batch, channels, voxels | precision | channels a group | PyTorch | segkit | BatchNorm |"
    )
    print("| --- " * 6 + "|")
    for batch in (1, 2):
        for channels, edges in SHAPES:
            for dtype in (torch.float32, torch.bfloat16):
                for per_group in (2, 8):
                    size = (batch, channels, edges)
                    times = _times(
                        size, dtype, per_group, arguments.rounds, torch.device(arguments.device)
                    )
                    place = f"{batch}, {channels}, {' x '.join(map(str, edges))}"
                    cells = " | ".join(f"{1000 * seconds:.2f}" for seconds in times)
                    print(
                        (
                            f"| {place} | {str(dtype).removeprefix('torch.')} | {per_group} |"
                            f" {cells} |"
                        ),
                        flush=True,
                    )


def _times(
    size: Size, dtype: torch.dtype, per_group: int, rounds: int, device: torch.device
) -> list[float]:
    batch, channels, edges = size
    layers = [kind(channels // per_group, channels) for kind in (nn.GroupNorm, GroupNorm)]
    shape = (batch, channels, *edges)
    steps = [
        _step(layer.to(device), shape, dtype, device)
        for layer in (*layers, nn.BatchNorm3d(channels))
    ]
    found: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 2):
        for times, step in zip(found, steps, strict=True):
            seconds = seconds_of(step, device, on_gpu=100)
            if number >= 2:  # the first ones warm up
                times.append(seconds)
    return [median(times) for times in found]


def _step(
    layer: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    def draw() -> Tensor:
        return (
            torch.randn(shape, device=device)
            .to(dtype)
            .contiguous(memory_format=torch.channels_last_3d)
        )

    activation = nn.LeakyReLU(0.01, inplace=True)
    x, gradient = draw().requires_grad_(), draw()
    half = device.type == "cuda" and dtype != torch.float32

    def step() -> None:
        x.grad = None
        with torch.autocast(device.type, dtype, enabled=half):
            y = (
                layer.normalize_and_activate(x, activation)
                if isinstance(layer, GroupNorm)
                else activation(layer(x))
            )
        y.backward(gradient.to(y.dtype))

    return step


if __name__ == "__main__":
    main()
