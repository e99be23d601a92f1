"""Importance of channels: how much the training loss would change without them.

Which channels of a layer go first is decided by a first-order estimate (Molchanov et al., arXiv
1906.10771): the derivative of the loss by a factor in front of a channel. With a norm, this is
scale x gradient + shift x gradient of its last operation; without one, the same of kernel and bias.

How many channels a layer can do without is measured: the loss of the network with these channels at
0. Estimates of single channels do not add up, because what one channel says another one says too.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.networks.pruning import ChannelSet, channel_sets, output_tensors
from segkit.plans.convolutions import Convolution, is_head
from segkit.plans.plan import Plan
from segkit.studies.pruning.candidate import Candidate
from segkit.training.data.patches import PatchDataset
from segkit.training.optimization.cuda_graph import TrainingLoss

log = logging.getLogger(__name__)

BATCHES = 12
"""Number of batches over which the estimate is averaged."""
MEASURED_BATCHES = 4
"""Number of batches over which the loss is measured, if there is time."""
MEASURED_WIDTHS = 4
"""Largest number of widths of a layer for which it is measured; others are interpolated."""
MODE = ComputeMode("float32", "channels_last")


def candidates(
    sets: Sequence[ChannelSet], importance: Mapping[str, Sequence[float]]
) -> list[Candidate]:
    """Return what can be narrowed, with its importance.

    Args:
        sets: all channels of a network.
        importance: of each group of ``unit`` channels, by the name of the channels.
    """
    return [
        Candidate(
            part.name,
            part.unit,
            _least(part),
            tuple(importance[part.name]),
            {
                other.name: tuple(importance[other.name])
                for other in sets
                if other.skip == part.name
            },
        )
        for part in sets
        if not part.skip
    ]


def _least(part: ChannelSet) -> int:
    """Return the fewest channels to keep: no fewer than a head that reads them has outputs.

    With fewer, the scores of some labels are sums of those of others, and a training does not
    learn these labels (docs/benchmarks/pruning.md).
    """
    outputs = [reader.out_channels for reader, _ in part.readers if is_head(reader)]
    enough = max([part.least, *outputs])
    return min(part.channels, -(-enough // part.unit) * part.unit)


def loss_change(
    network: nn.Module,
    plan: Plan,
    loss: nn.Module,
    patches: PatchDataset,
    *,
    device: torch.device,
    batches: int = BATCHES,
    seconds: float = math.inf,
) -> dict[str, list[float]]:
    """Return the estimated change of the loss without each group, by the name of the channels.

    It is the root of the mean square over batches of patches without augmentation. Running
    statistics are used as they are, and nothing is changed.

    Args:
        network: the trained network.
        plan: its plan.
        loss: the loss of its training, which takes all scores of deep supervision.
        patches: training patches.
        device: where to compute.
        batches: number of batches of the plan's size.
        seconds: time after which no further batch is taken.
    """
    started, done = time.monotonic(), 0
    network = _training_copy(network).to(device)
    step = TrainingLoss(network, loss.to(device), slice_axis=plan.slice_axis, mode=MODE)
    sets = channel_sets(plan)
    total = {part.name: torch.zeros(part.channels // part.unit) for part in sets}
    for images, labels in _batches(patches, plan.batch_size, batches):
        network.zero_grad()
        step(images.to(device), labels.to(device)).backward()
        for part in sets:
            change = torch.stack([_change(network, writer) for writer in part.writers]).sum(0)
            total[part.name] += change.view(-1, part.unit).sum(1).square().cpu()
        done += 1
        if time.monotonic() - started > seconds:
            break
    return {name: (squares / done).sqrt().tolist() for name, squares in total.items()}


@torch.inference_mode()
def with_losses(
    found: Sequence[Candidate],
    network: nn.Module,
    plan: Plan,
    loss: nn.Module,
    patches: PatchDataset,
    *,
    mode: ComputeMode,
    device: torch.device,
    seconds: float = math.inf,
) -> list[Candidate]:
    """Return the candidates with the measured increase of the loss for each of their widths.

    Args:
        found: what can be narrowed, in the order of importance.
        network: the trained network, which is not changed.
        plan: its plan.
        loss: the loss of its training.
        patches: training patches.
        mode: precision and memory format.
        device: where to compute.
        seconds: time for it. It decides the number of batches; if there is not even time for one
            of each, nothing is measured.
    """
    network = network_to_memory_format(_training_copy(network).to(device), mode.layout)
    step = TrainingLoss(network, loss.to(device), slice_axis=plan.slice_axis, mode=mode)
    batches = [
        (images.to(device), labels.to(device))
        for images, labels in _batches(patches, plan.batch_size, MEASURED_BATCHES)
    ]
    step(*batches[0])  # creates kernels
    start = time.perf_counter()
    step(*batches[0])
    needed = (time.perf_counter() - start) * (1 + sum(len(_some(part.widths)) for part in found))
    if needed > seconds:
        log.info("no time to measure the loss without channels: it is estimated")
        return list(found)
    batches = batches[: max(1, int(min(MEASURED_BATCHES, seconds / max(needed, 1e-9))))]

    def mean_loss() -> float:
        return sum(float(step(*batch)) for batch in batches) / len(batches)

    sets = {part.name: part for part in channel_sets(plan)}
    whole = mean_loss()
    measured = []
    for part in found:
        increases = {part.channels: 0.0}
        for width in reversed(_some(part.widths)):
            with _silent(network, sets, part.kept(width)):
                # Fewer channels are never better: what noise gains, training could gain as well.
                increases[width] = max(mean_loss() - whole, *increases.values())
        measured.append(dataclasses.replace(part, losses=_between(increases, part.widths)))
    return measured


def _some(widths: Sequence[int]) -> list[int]:
    """Return at most MEASURED_WIDTHS of the widths, evenly, with the first and the last one.

    >>> _some([4, 16, 32, 48, 64, 80, 96, 112])
    [4, 32, 80, 112]
    """
    places = np.linspace(0, len(widths) - 1, min(MEASURED_WIDTHS, len(widths)))
    return [widths[round(place)] for place in places]


def _between(increases: Mapping[int, float], widths: Sequence[int]) -> dict[int, float]:
    """Return the increase of the loss for every width, interpolated between those measured.

    >>> _between({8: 0.0, 4: 2.0}, [4, 6])
    {4: 2.0, 6: 1.0}
    """
    measured = sorted(increases)
    values = np.interp(widths, measured, [increases[width] for width in measured])
    return dict(zip(widths, values.tolist(), strict=True))


@contextmanager
def _silent(
    network: nn.Module, sets: Mapping[str, ChannelSet], kept: Mapping[str, Sequence[int]]
) -> Iterator[None]:
    """Set the channels that ``kept`` lacks to 0 within the block."""
    before: dict[str, Tensor] = {}
    for name, numbers in kept.items():
        gone = torch.tensor(sorted(set(range(sets[name].channels)) - set(numbers)))
        for key, axis in output_tensors(sets[name], dict(network.named_parameters())):
            parameter = network.get_parameter(key)
            before[key] = parameter.detach().clone()
            parameter.index_fill_(axis, gone.to(parameter.device, torch.long), 0.0)
    try:
        yield
    finally:
        for key, values in before.items():
            network.get_parameter(key).copy_(values)


def at_random(sets: Sequence[ChannelSet], seed: int) -> dict[str, list[float]]:
    """Return random importance of each group, uniform and alike for all layers: a control."""
    generator = random.Random(seed)
    return {
        part.name: [generator.random() for _ in range(part.channels // part.unit)] for part in sets
    }


def _training_copy(network: nn.Module) -> nn.Module:
    """Return a copy with gradients that returns all heads; batch norms keep their statistics."""
    copied = copy.deepcopy(network).requires_grad_(True).train()
    for module in copied.modules():
        if any(name.startswith("running_") for name, _ in module.named_buffers(recurse=False)):
            module.eval()
    return copied


def _batches(patches: PatchDataset, size: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (B, C, X, Y, Z) and labels (B, X, Y, Z) of patches without augmentation."""
    plain = patches.plain()
    for batch in range(count):
        items = [plain[batch * size + number] for number in range(size)]
        images, labels = (
            [torch.as_tensor(item[key]) for item in items] for key in ("image", "labels")
        )
        yield torch.stack(images), torch.stack(labels)


def _change(network: nn.Module, writer: Convolution) -> Tensor:
    """Return the derivative of the loss by a factor in front of each channel that is written."""
    module = network.get_submodule(writer.norm or writer.name)
    total = torch.zeros(writer.out_channels)
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.grad is not None:
            product = (parameter.detach() * parameter.grad).cpu()
            is_transposed_kernel = name == "weight" and writer.transposed
            by_channel = product.movedim(int(is_transposed_kernel), 0)
            total += by_channel.reshape(writer.out_channels, -1).sum(1)
    return total
