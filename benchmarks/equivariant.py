"""Compare the equivariant U-Net with a plain U-Net of the same widths: a training step, and the
latency of the exported plain network.

    python benchmarks/equivariant.py [--groups octahedral48 octahedral24] [--edge 24] [--rounds 20]

The plain U-Net has the planner's strided convolutions; `averaged` is the same with the averages
over blocks of the equivariant one, which says what these alone cost. A step is forward pass, loss
with deep supervision, backward pass and SGD, with one patch. Latency is that of one window, of the
network with its kernels written out, as for a prediction or a plain export. Networks take turns,
each round begins with the next of them, and the first round warms up. Print medians of the CPU
seconds of the process, and ratios to the plain U-Net, in Markdown: CPU seconds, because other work
may run on the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Literal

import torch
from torch import nn
from train_step import CLASSES, loss_of

from segkit.bundle.plain_model import plain_plan
from segkit.config.schema import NetworkConfig
from segkit.networks import build_network
from segkit.networks.fusion import fuse
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.planning.network_stages import build_stages
from segkit.planning.topology import Topology
from segkit.plans.plan import ChannelPlan, Plan, SymmetryPlan
from segkit.plans.symmetry import SYMMETRIES
from segkit.training.compute.device import keep_freed_memory

MODES = (ComputeMode("bfloat16", "channels_last"), ComputeMode("float32", "channels_last"))
PLAIN, AVERAGED = "plain", "averaged"
Kind = Literal["step", "latency"]


def main() -> None:
    """Print a row for each group, kind of measurement and mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--groups", nargs="+", choices=[*SYMMETRIES], default=["octahedral48", "octahedral24"]
    )
    parser.add_argument("--edge", type=int, default=24, help="edge of the patch, in voxels")
    parser.add_argument("--widths", type=int, nargs="+", default=[48, 96, 192])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=["step", "latency"], default=[*_RUNS])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print(f"widths {arguments.widths}, patch of {arguments.edge}^3, {arguments.rounds} rounds\n")
    print("| group | of what | precision | plain, ms | averaged | equivariant |")
    print("| --- | --- | --- | --- | --- | --- |")
    for group in arguments.groups:
        plans = plans_of(group, arguments.edge, arguments.widths)
        for kind in arguments.kinds:
            for mode in MODES:
                runs = {name: _RUNS[kind](plan, mode) for name, plan in plans.items()}
                times = timed(runs, arguments.rounds)
                ratios = " | ".join(f"{times[name] / times[PLAIN]:.2f}" for name in [*runs][1:])
                cells = f"{kind} | {mode.precision} | {1000 * times[PLAIN]:.0f} | {ratios}"
                print(f"| {group} | {cells} |", flush=True)


def plans_of(group: str, edge: int, widths: list[int]) -> dict[str, Plan]:
    """Return the plan of the plain U-Net, of the one with averages, and of the equivariant one."""
    stages = len(widths)
    topology = Topology(
        (edge, edge, edge), ((3, 3, 3),) * stages, ((1, 1, 1), *[(2, 2, 2)] * (stages - 1))
    )
    symmetry = SymmetryPlan(group, tuple(range(SYMMETRIES[group].axes)))
    config = NetworkConfig(name="equivariant_unet", symmetry=group)
    network = build_stages(topology, widths, inputs=1, config=config, symmetry=symmetry)
    equivariant = Plan(
        name="benchmark",
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("MRI", "zscore"),),
        labels={f"label {number}": number for number in range(1, CLASSES)},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=topology.patch,
        batch_size=1,
        mirror_axes=(),
        crop_to_content=False,
        network=network,
    )
    averaged = plain_plan(equivariant)
    plain = replace(averaged, network=replace(averaged.network, downsampling="strided"))
    return {PLAIN: plain, AVERAGED: averaged, "equivariant": equivariant}


def timed(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each function, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = [*runs]
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.process_time()
            runs[name]()
            if number:
                times[name].append(time.process_time() - start)
    return {name: median(values) for name, values in times.items()}


def _step(plan: Plan, mode: ComputeMode) -> Callable[[], object]:
    network = network_to_memory_format(build_network(plan).train(), mode.layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    image, labels = torch.randn(1, 1, *plan.patch), torch.randint(CLASSES, (1, *plan.patch))

    def step() -> None:
        optimizer.zero_grad()
        with mode.autocast(torch.device("cpu")):
            scores = mode.wrap(network)(image)
        loss_of(scores, labels).backward()
        optimizer.step()

    return step


def _latency(plan: Plan, mode: ComputeMode) -> Callable[[], object]:
    network: nn.Module = fuse(build_network(plan).eval().requires_grad_(False))  # as bundles do
    network = network_to_memory_format(network, mode.layout)
    image = torch.randn(1, 1, *plan.patch)

    @torch.inference_mode()
    def predict() -> object:
        with mode.autocast(torch.device("cpu")):
            return mode.wrap(network)(image)

    return predict


_RUNS: dict[Kind, Callable[[Plan, ComputeMode], Callable[[], object]]] = {
    "step": _step,
    "latency": _latency,
}


if __name__ == "__main__":
    main()
