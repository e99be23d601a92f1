"""Measure what recomputing norms and activations saves and costs in a training step of segkit's
U-Net.

    python benchmarks/recompute.py [--threads 1] [--rounds 3]

Memory: peak resident memory of three steps in a separate process, in addition to that before the
first step, once with freed memory kept as in a training and once with freed memory returned
immediately. Gradients and momenta are included. Time: medians of interleaved rounds, CPU seconds of
a process that keeps freed memory. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median

import torch
from train_step import CLASSES, loss_of, plan_of

from segkit.networks import build_network
from segkit.networks.kernels.recompute import recomputing
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.training.compute.device import give_freed_memory_back, keep_freed_memory

Edges = tuple[int, int, int]
CASES: tuple[tuple[int, Edges, tuple[int, ...]], ...] = (
    (2, (40, 56, 40), (32, 64, 128, 256)),
    (2, (64, 64, 64), (32, 64, 128, 256, 320)),
    (1, (96, 96, 96), (32, 64, 128, 256, 320)),
)
"""Batch size, patch and channels of the stages, as nnU-Net plans them."""
MODES = (
    ComputeMode("bfloat16", "channels_last"),
    ComputeMode("float32", "channels_last"),
    ComputeMode("float32", "contiguous"),
)


def main() -> None:
    """Measure every patch and mode; with --one, only the memory of one of them in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, nargs=3, metavar="N", help="CASE MODE RECOMPUTE")
    parser.add_argument("--give-back", action="store_true", help="with --one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        case, mode, recompute = arguments.one
        give_freed_memory_back() if arguments.give_back else keep_freed_memory()
        print(_peak(_step(case, MODES[mode], recompute=bool(recompute))))
        return
    keep_freed_memory()
    print("| batch, patch | precision, layout | MB, kept | MB, given back | CPU s |")
    print("| --- " * 5 + "|")
    for case, (batch, patch, _) in enumerate(CASES):
        for number, mode in enumerate(MODES):
            cells = [
                _pair(
                    [
                        _peak_alone([case, number, recompute, *how], arguments.threads)
                        for recompute in (0, 1)
                    ],
                    0,
                )
                for how in ([], ["--give-back"])
            ]
            cells.append(_pair(_times(case, mode, arguments.rounds), 2))
            place = f"{batch}, {' x '.join(map(str, patch))} | {mode.precision}, {mode.layout}"
            print(f"| {place} | {' | '.join(cells)} |", flush=True)


def _pair(values: list[float], digits: int) -> str:
    without, recomputed = values
    return f"{without:.{digits}f}, {recomputed:.{digits}f}: {recomputed / without:.2f}"


def _peak_alone(what: list[object], threads: int) -> float:
    command = [sys.executable, __file__, "--threads", threads, "--one", *what]
    return float(
        subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, text=True
        ).stdout
    )


def _peak(step: Callable[[], None]) -> float:
    """Return the peak resident memory of this process in MB (Linux)."""
    before = _resident("VmRSS")
    for _ in range(3):
        step()
    return (_resident("VmHWM") - before) / 1e6


def _resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(name)


def _times(case: int, mode: ComputeMode, rounds: int) -> list[float]:
    steps = [_step(case, mode, recompute=recompute) for recompute in (False, True)]
    found: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 1):
        for times, step in zip(found, steps, strict=True):
            start = time.process_time()
            step()
            if number:  # the first one warms up
                times.append(time.process_time() - start)
    return [median(times) for times in found]


def _step(case: int, mode: ComputeMode, *, recompute: bool) -> Callable[[], None]:
    batch, patch, widths = CASES[case]
    network = network_to_memory_format(
        build_network(plan_of(patch, widths, {"kind": "group"})), mode.layout
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    image, labels = torch.randn(batch, 1, *patch), torch.randint(CLASSES, (batch, *patch))
    saving: Callable[[], AbstractContextManager[None]] = recomputing if recompute else nullcontext

    def step() -> None:
        optimizer.zero_grad()
        with mode.autocast(torch.device("cpu")), saving():
            scores = mode.wrap(network)(image)
        loss_of(scores, labels).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
