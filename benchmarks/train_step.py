"""One training step, segkit's U-Net against nnU-Net's: equal channels, convolutions, strides, heads, loss, optimiser.

    .venv-peers/bin/python benchmarks/train_step.py [--threads 2] [--rounds 5]      (`make peers` makes the environment)

Every network runs in float32 and in bfloat16 autocast, in both memory layouts, in interleaved rounds. Prints the
median seconds of a step (forward, loss with deep supervision, backward, SGD) and its ratio to nnU-Net's network as
nnU-Net runs it on a CPU: eager, float32, contiguous. Without nnU-Net the ratio is to segkit's with instance norm in
that mode. Only the norm differs between segkit's networks: groups by the rule, 8 channels a group, instance, batch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.networks import build_network
from segkit.networks.mode import LAYOUTS, Mode, network_to_layout
from segkit.planning.norm_groups import groups_for
from segkit.plans import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan
from segkit.training.compute import keep_freed_memory

CASES = (((40, 56, 40), (32, 64, 128, 256)), ((64, 64, 64), (32, 64, 128, 256, 320)))
"""Patch and channels of the stages, as nnU-Net plans them."""
BATCH, CLASSES = 2, 3
NORMS: dict[str, dict[str, object]] = {
    "segkit, groups by the rule": {"kind": "group"},
    "segkit, 8 channels a group": {"kind": "group", "per_group": 8},
    "segkit, instance norm": {"kind": "instance"},
    "segkit, batch norm": {"kind": "batch"},
}
NNUNET = "nnU-Net"
MODES = [Mode(precision, layout) for precision in ("float32", "bfloat16") for layout in reversed(LAYOUTS)]
BASE = MODES[0]


def main() -> None:
    """Time all networks on each patch and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # for all of them: it favours nobody
    for patch, widths in CASES:
        print(f"\npatch {patch}, channels {widths}, batch {BATCH}, {arguments.threads} threads\n")
        _print_table(_timed(_builders(patch, widths), patch, arguments.rounds))


def _builders(patch: tuple[int, int, int], widths: Sequence[int]) -> dict[str, Callable[[], nn.Module]]:
    builders: dict[str, Callable[[], nn.Module]] = {
        name: lambda norm=norm: build_network(plan_of(patch, widths, norm)) for name, norm in NORMS.items()
    }
    try:
        from dynamic_network_architectures.architectures.unet import PlainConvUNet  # noqa: PLC0415 - may be absent
    except ModuleNotFoundError:
        return builders
    options = {
        "conv_op": nn.Conv3d,
        "kernel_sizes": 3,
        "strides": [1] + [2] * (len(widths) - 1),
        "n_conv_per_stage": 2,
        "n_conv_per_stage_decoder": 2,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }
    count, features = len(widths), list(widths)
    return {NNUNET: lambda: PlainConvUNet(1, count, features, num_classes=CLASSES, **options), **builders}


def plan_of(patch: tuple[int, int, int], widths: Sequence[int], norm: dict[str, object]) -> Plan:
    """segkit's plan of that network, two convolutions a stage."""

    def stage(part: str, level: int, into: int) -> StagePlan:
        """Stage ``level``; its stride leads into or out of level ``into``."""
        voxels = patch[0] * patch[1] * patch[2] // 8**level
        layers = []
        for number in (1, 2):
            name = f"{part}{level}.conv{number}"
            kind, groups = groups_for(widths[level], voxels, layer=name, **norm)
            layers.append(LayerPlan(name, widths[level], kind, groups, voxels))
        stride = 1 if into == 0 else 2
        return StagePlan((3, 3, 3), (stride, stride, stride), tuple(layers))

    levels = range(len(widths))
    return Plan(
        name="benchmark",
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("MRI", "zscore"),),
        labels={f"label {number}": number for number in range(1, CLASSES)},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=patch,
        batch_size=BATCH,
        mirror_axes=(),
        crop_to_content=True,
        network=NetworkPlan(
            name="unet",
            activation="leaky_relu",
            encoder=tuple(stage("encoder", level, level) for level in levels),
            decoder=tuple(stage("decoder", level, level + 1) for level in reversed(levels[:-1])),
        ),
    )


def _timed(
    builders: dict[str, Callable[[], nn.Module]], patch: tuple[int, int, int], rounds: int
) -> dict[tuple[str, Mode], float]:
    image = torch.randn(BATCH, 1, *patch)
    labels = torch.randint(CLASSES, (BATCH, *patch))
    steps = {(name, mode): _step(build(), mode, image, labels) for name, build in builders.items() for mode in MODES}
    times: dict[tuple[str, Mode], list[float]] = {key: [] for key in steps}
    for number in range(rounds + 1):
        for key, step in steps.items():
            start = time.perf_counter()
            step()
            if number:  # the first one warms up
                times[key].append(time.perf_counter() - start)
    return {key: median(values) for key, values in times.items()}


def _step(network: nn.Module, mode: Mode, image: Tensor, labels: Tensor) -> Callable[[], None]:
    network = network_to_layout(network.train(), mode.layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        with mode.autocast(torch.device("cpu")):
            scores = mode.wrap(network)(image)
        loss_of(scores, labels).backward()
        optimizer.step()

    return step


def loss_of(scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
    """Cross-entropy of every head, halved with every stage."""
    total = torch.zeros(())
    for number, score in enumerate([scores] if isinstance(scores, Tensor) else scores):
        small = F.interpolate(labels[:, None].float(), score.shape[2:], mode="nearest-exact")[:, 0].long()
        total = total + 0.5**number * F.cross_entropy(score.float(), small)
    return total


def _print_table(seconds: dict[tuple[str, Mode], float]) -> None:
    names = list(dict.fromkeys(name for name, _ in seconds))
    base = seconds[NNUNET if NNUNET in names else "segkit, instance norm", BASE]
    print("| network | " + " | ".join(f"{mode.precision}, {mode.layout}" for mode in MODES) + " |")
    print("| --- " * (1 + len(MODES)) + "|")
    for name in names:
        cells = [f"{seconds[name, mode]:.3f} s, {seconds[name, mode] / base:.2f}" for mode in MODES]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
