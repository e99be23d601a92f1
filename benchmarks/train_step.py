"""Time one training step of the U-Nets of segkit and nnU-Net: equal channels, convolutions,
strides, heads, loss, optimizer.

    .venv-peers/bin/python benchmarks/train_step.py [--threads 2] [--rounds 5] [--cases 0 1]
                                                    [--device cuda] [--compile]

Every network runs in float32 and in bfloat16 autocast, in both memory formats, in interleaved
rounds. Print the median seconds of a step (forward, loss with deep supervision, backward, SGD) and
its ratio to nnU-Net's network as nnU-Net runs it on a CPU: eager, float32, contiguous. Without
nnU-Net the ratio is to the last row in that mode. Only the norm differs between segkit's networks:
groups by the rule, 8 channels a group, instance, batch.

On a GPU nnU-Net runs in float16 with a scaled loss, contiguous, and is compiled: with --compile
that is another row. segkit records forward pass, loss and backward pass and replays them
(`segkit.training.optimization.cuda_graph`), which is another row. cuDNN may try its algorithms
(`torch.backends.cudnn.benchmark`) for all of them. One more list gives the speed of the
convolutions of a step, counted once forward and twice backward, as a share of that of a matrix
product of 8192 x 8192 bfloat16 numbers on the same GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median

import torch
import torch.nn.functional as F
from device_clock import seconds_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segkit.networks import build_network
from segkit.networks.precision import MEMORY_FORMATS, ComputeMode, network_to_memory_format
from segkit.planning.norm_groups import groups_for
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan
from segkit.training.compute.device import keep_freed_memory
from segkit.training.optimization.cuda_graph import Loss, TrainingLoss, record_graph

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
COMPILED, RECORDED = "nnU-Net, compiled", "segkit, groups by the rule, recorded"
PAIRS = {
    "cpu": [
        (precision, layout)
        for precision in ("float32", "bfloat16")
        for layout in reversed(MEMORY_FORMATS)
    ],
    "cuda": [
        ("float32", "channels_last"),
        ("float16", "contiguous"),
        ("bfloat16", "contiguous"),
        ("bfloat16", "channels_last"),
    ],
}
MODES = {device: [ComputeMode(*pair) for pair in pairs] for device, pairs in PAIRS.items()}
OWN_MODE = {
    "cpu": ComputeMode("float32", "contiguous"),
    "cuda": ComputeMode("float16", "contiguous"),
}
"""nnU-Net's."""


def main() -> None:
    """Time all networks on each patch and print a table for each."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.benchmark = True
    keep_freed_memory()  # for all of them: it favours nobody
    for patch, widths in [CASES[number] for number in arguments.cases]:
        print(f"\npatch {patch}, channels {widths}, batch {BATCH}, {_machine(arguments)}\n")
        builders = _builders(patch, widths, with_compiled=arguments.compile)
        if arguments.device == "cuda":
            builders[RECORDED] = builders["segkit, groups by the rule"]
            del builders["segkit, instance norm"], builders["segkit, 8 channels a group"]
        seconds = _timed(builders, patch, arguments)
        _print_table(seconds, arguments.device)
        if arguments.device == "cuda":
            _print_shares(seconds, _operations(builders[RECORDED](), patch))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--cases", type=int, nargs="+", choices=[0, 1], default=[0, 1], help="small and large patch"
    )
    parser.add_argument("--device", choices=list(OWN_MODE), default="cpu")
    parser.add_argument(
        "--compile", action="store_true", help="time nnU-Net's network compiled, too"
    )
    return parser


def _machine(arguments: argparse.Namespace) -> str:
    return (
        torch.cuda.get_device_name()
        if arguments.device == "cuda"
        else f"{arguments.threads} threads"
    )


def _builders(
    patch: tuple[int, int, int], widths: Sequence[int], *, with_compiled: bool
) -> dict[str, Callable[[], nn.Module]]:
    builders: dict[str, Callable[[], nn.Module]] = {
        name: lambda norm=norm: build_network(plan_of(patch, widths, norm))
        for name, norm in NORMS.items()
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

    def nnunet() -> nn.Module:
        network: nn.Module = PlainConvUNet(1, count, features, num_classes=CLASSES, **options)
        return network

    compiled = {COMPILED: lambda: torch.compile(nnunet())} if with_compiled else {}
    return {NNUNET: nnunet, **compiled, **builders}


def plan_of(patch: tuple[int, int, int], widths: Sequence[int], norm: dict[str, object]) -> Plan:
    """Return segkit's plan of that network, with two convolutions per stage."""

    def stage(part: str, level: int, into: int) -> StagePlan:
        """Return stage ``level``, whose stride leads into or out of level ``into``."""
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
    builders: dict[str, Callable[[], nn.Module]],
    patch: tuple[int, int, int],
    arguments: argparse.Namespace,
) -> dict[tuple[str, ComputeMode], float]:
    """Return the median seconds of a step for each network and mode."""
    device = torch.device(arguments.device)
    image = torch.randn(BATCH, 1, *patch, device=device)
    labels = torch.randint(CLASSES, (BATCH, *patch), device=device)
    steps = {
        (name, mode): _step(build().to(device), mode, image, labels, with_graph=name == RECORDED)
        for name, build in builders.items()
        for mode in ([OWN_MODE[device.type]] if name == COMPILED else MODES[device.type])
    }
    for step in steps.values():
        seconds_of(step, device, on_gpu=10)
        seconds_of(step, device, on_gpu=10)
    times: dict[tuple[str, ComputeMode], list[float]] = {key: [] for key in steps}
    for _ in range(arguments.rounds):
        for key, step in steps.items():
            times[key].append(seconds_of(step, device, on_gpu=10))
    return {key: median(values) for key, values in times.items()}


def _step(
    network: nn.Module, mode: ComputeMode, image: Tensor, labels: Tensor, *, with_graph: bool
) -> Callable[[], None]:
    network = network_to_memory_format(network.train(), mode.layout)
    loss: Loss | None = TrainingLoss(network, HeadsLoss(), slice_axis=None, mode=mode)
    if with_graph:
        loss = record_graph(loss, image, labels)
    if loss is None:
        raise RuntimeError("this step could not be recorded")
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    scaler = torch.amp.GradScaler(image.device.type, enabled=mode.precision == "float16")

    def step() -> None:
        optimizer.zero_grad()
        scaler.scale(loss(image, labels)).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


class HeadsLoss(nn.Module):
    """Cross-entropy of every head, with the weight halved from stage to stage."""

    def forward(self, scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        return loss_of(scores, labels)


def loss_of(scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the loss, as `HeadsLoss` computes it."""
    total = torch.zeros((), device=labels.device)
    for number, score in enumerate([scores] if isinstance(scores, Tensor) else scores):
        small = F.interpolate(labels[:, None].float(), score.shape[2:], mode="nearest-exact")[
            :, 0
        ].long()
        total = total + 0.5**number * F.cross_entropy(score.float(), small)
    return total


def _print_table(seconds: dict[tuple[str, ComputeMode], float], device: str) -> None:
    names, modes = (
        list(dict.fromkeys(name for name, _ in seconds)),
        list(dict.fromkeys(mode for _, mode in seconds)),
    )
    base = seconds[NNUNET if NNUNET in names else names[-1], OWN_MODE[device]]
    print("| network | " + " | ".join(f"{mode.precision}, {mode.layout}" for mode in modes) + " |")
    print("| --- " * (1 + len(modes)) + "|")
    for name in names:
        print(
            f"| {name} | "
            + " | ".join(_cell(seconds.get((name, mode)), base, device) for mode in modes)
            + " |"
        )


def _cell(seconds: float | None, base: float, device: str) -> str:
    if seconds is None:
        return ""
    time_text = f"{1000 * seconds:.1f} ms" if device == "cuda" else f"{seconds:.3f} s"
    return f"{time_text}, {seconds / base:.2f}"


def _operations(network: nn.Module, patch: tuple[int, int, int]) -> float:
    """Return the number of multiplications and additions of the convolutions in a step."""
    with FlopCounterMode(display=False) as counter:
        network.train()(torch.zeros(BATCH, 1, *patch))
    return 3.0 * counter.get_total_flops()


def _print_shares(seconds: dict[tuple[str, ComputeMode], float], operations: float) -> None:
    limit = _matrix_rate()
    print(
        f"\n{operations / 1e12:.3f} TFLOP a step; a matrix product runs at {limit / 1e12:.0f}"
        " TFLOP/s; share of it:\n"
    )
    fastest = {
        name: min(value for (other, _), value in seconds.items() if other == name)
        for name, _ in seconds
    }
    for name, value in fastest.items():
        print(
            f"- {name}: {operations / value / 1e12:.1f} TFLOP/s, {operations / value / limit:.1%}"
        )


def _matrix_rate() -> float:
    """Return the operations per second of a large bfloat16 matrix product of random numbers."""
    first, second = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        torch.mm(first, second)

    return (
        2
        * 8192**3
        / median(seconds_of(multiply, torch.device("cuda"), on_gpu=10) for _ in range(5))
    )


if __name__ == "__main__":
    main()
