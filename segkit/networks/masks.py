"""Unstructured masks: which weights of a network's convolutions stay, the others are exactly 0.

A mask maps the name of each kernel to a bool tensor of its shape, True where the weight is kept.
Only kernels of convolutions are masked: norms and biases have few weights, and a head has a row per
class, which pruning could empty. The method is iterative magnitude pruning (Frankle & Carbin 2019,
arXiv 1803.03635).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from segkit.errors import InputError, UsageError

Masks = Mapping[str, Tensor]
"""Mask of each kernel by the name of its parameter: bool, True where the weight is kept."""

HEAD = re.compile(r"(^|[._])heads?(\.|$)")
"""Pattern in the name of a tensor whose first axis is the classes."""

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class LayerCount:
    """Number of kept weights of one kernel."""

    name: str
    """Name of the parameter."""
    kept: int
    """Number of kept weights."""
    total: int
    """Number of all weights."""

    @property
    def density(self) -> float:
        """Kept share of the weights, from 0 to 1."""
        return self.kept / self.total


def prunable_kernels(network: nn.Module) -> dict[str, Tensor]:
    """Return the kernels that a mask may prune, by name: those of all convolutions but the heads.

    >>> net = nn.Sequential()
    >>> net.body, net.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 1)
    >>> list(prunable_kernels(net))
    ['body.weight']
    """
    return {
        f"{name}.weight": module.weight
        for name, module in network.named_modules()
        if isinstance(module, _CONVOLUTIONS) and not HEAD.search(f"{name}.weight")
    }


def dense_masks(network: nn.Module) -> dict[str, Tensor]:
    """Return masks that keep every weight."""
    return {
        name: torch.ones(kernel.shape, dtype=torch.bool)
        for name, kernel in prunable_kernels(network).items()
    }


def prune_by_magnitude(
    weights: Mapping[str, Tensor], masks: Masks, fraction: float = 0.2, *, keep_per_layer: int = 1
) -> dict[str, Tensor]:
    """Return masks without the smallest of the kept weights, over all kernels together.

    Exactly ceil(fraction x kept) more weights are pruned, also where magnitudes are equal: those
    that come first, by the name of the kernel and the place in it, are then pruned first.

    >>> weights, masks = {"a": torch.tensor([3.0, -1.0, 2.0])}, {"a": torch.tensor([True] * 3)}
    >>> prune_by_magnitude(weights, masks, 0.2)["a"].tolist()
    [True, False, True]

    Args:
        weights: tensors by name, among them every kernel of ``masks``.
        masks: the masks so far; what they prune stays pruned.
        fraction: share of the kept weights to prune, from 0 to 1.
        keep_per_layer: smallest number of weights that each kernel keeps, so that no layer dies.
            Where it saves a weight, a larger one of another kernel is pruned instead.

    Raises:
        InputError: a kernel without weights, of another shape, or with values that are not finite;
            or fewer weights can be pruned than asked for.
        UsageError: a fraction that is not from 0 to 1.
    """
    scores = {name: _magnitudes(name, weights, mask) for name, mask in masks.items()}
    return _without_lowest(scores, masks, fraction, keep_per_layer)


def prune_at_random(
    masks: Masks, fraction: float = 0.2, *, seed: int, keep_per_layer: int = 1
) -> dict[str, Tensor]:
    """Return masks without ceil(fraction x kept) of the kept weights, drawn from all kernels.

    Args:
        masks: the masks so far; what they prune stays pruned.
        fraction: share of the kept weights to prune, from 0 to 1.
        seed: seed of the random numbers; equal seeds give equal masks.
        keep_per_layer: smallest number of weights that each kernel keeps.

    Raises:
        InputError: fewer weights can be pruned than asked for.
        UsageError: a fraction that is not from 0 to 1.
    """
    random = torch.Generator().manual_seed(seed)
    scores = {name: torch.rand(masks[name].shape, generator=random) for name in sorted(masks)}
    return _without_lowest(scores, masks, fraction, keep_per_layer)


def shuffle_within_layers(
    masks: Masks, *, seed: int, within: Masks | None = None
) -> dict[str, Tensor]:
    """Return masks that keep as many weights of each kernel, but at random places.

    >>> before = {"kernel": torch.tensor([True, False, True])}
    >>> after = {"kernel": torch.tensor([True, False, False])}
    >>> shuffle_within_layers(after, seed=1, within=before)
    {'kernel': tensor([False, False,  True])}

    Args:
        masks: the masks, which are not changed.
        seed: seed of the places.
        within: masks to whose kept weights the places are limited, at least as many as in
            ``masks``; default: all places.
    """
    random = torch.Generator().manual_seed(seed)
    shuffled = {}
    for name in sorted(masks):
        mask = masks[name].cpu()
        places = torch.ones_like(mask) if within is None else within[name].cpu()
        inside = mask[places]
        shuffled[name] = torch.zeros_like(mask)
        shuffled[name][places] = inside[torch.randperm(len(inside), generator=random)]
    return shuffled


def layer_counts(masks: Masks) -> list[LayerCount]:
    """Return kept and all weights of each kernel, in the order of ``masks``."""
    return [LayerCount(name, int(mask.sum()), mask.numel()) for name, mask in masks.items()]


def kept_and_total(masks: Masks) -> tuple[int, int]:
    """Return the number of kept and of all weights of the masked kernels."""
    counts = layer_counts(masks)
    return sum(count.kept for count in counts), sum(count.total for count in counts)


@torch.no_grad()
def apply_masks(network: nn.Module, masks: Masks) -> None:
    """Set the weights of ``network`` that ``masks`` prune to 0, in place.

    Raises:
        InputError: a mask that is not of a kernel of this network.
    """
    kernels = prunable_kernels(network)
    for name, mask in masks.items():
        check_kernel(name, mask, kernels)
        kernels[name].masked_fill_(~mask.to(kernels[name].device), 0.0)


def check_kernel(name: str, mask: Tensor, kernels: Mapping[str, Tensor]) -> None:
    """Raise InputError unless ``mask`` has the shape of the kernel ``name`` of ``kernels``."""
    found = f"shape {tuple(kernels[name].shape)}" if name in kernels else "no such kernel"
    if name not in kernels or kernels[name].shape != mask.shape:
        raise InputError(
            name,
            expected=f"a kernel of shape {tuple(mask.shape)}, as its mask",
            found=found,
            remedy="Give the mask of a network with the same layers.",
        )


def number_to_prune(kept: int, fraction: float) -> int:
    """Return ceil(fraction x kept), with the decimal fraction as it is written.

    >>> number_to_prune(100, 0.07), math.ceil(0.07 * 100)  # 0.07 * 100 is 7.000000000000001
    (7, 8)

    Raises:
        UsageError: a fraction that is not from 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise UsageError(f"a fraction of {fraction} of the weights to prune: must be from 0 to 1")
    return math.ceil(Fraction(str(fraction)) * kept)


def _magnitudes(name: str, weights: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    check_kernel(name, mask, weights)
    magnitudes = weights[name].detach().cpu().float().abs()
    if not torch.isfinite(magnitudes[mask.cpu()]).all():
        raise InputError(
            name,
            expected="finite weights, of which the smallest are pruned",
            found="values that are not finite",
            remedy="Train again, with a lower trainer.learning_rate.",
        )
    return magnitudes


def _without_lowest(
    scores: Mapping[str, Tensor], masks: Masks, fraction: float, keep_per_layer: int
) -> dict[str, Tensor]:
    """Return ``masks`` without the kept weights of the lowest scores."""
    pruned = {name: mask.detach().cpu().clone() for name, mask in masks.items()}
    names = sorted(pruned)
    places = {name: _candidates(scores[name], pruned[name], keep_per_layer) for name in names}
    count = number_to_prune(kept_and_total(pruned)[0], fraction)
    _check_count(count, sum(len(found) for found in places.values()), keep_per_layer)
    all_scores = torch.cat([scores[name].flatten()[places[name]] for name in names])
    lowest = torch.zeros(len(all_scores), dtype=torch.bool)
    lowest[torch.sort(all_scores, stable=True).indices[:count]] = True
    parts = torch.split(lowest, [len(places[name]) for name in names])
    for name, is_lowest in zip(names, parts, strict=True):
        pruned[name].view(-1)[places[name][is_lowest]] = False
    return pruned


def _candidates(scores: Tensor, mask: Tensor, keep: int) -> Tensor:
    """Return the flat indices of the kept weights, without the ``keep`` of the highest scores."""
    kept = mask.flatten().nonzero()[:, 0]
    order = torch.sort(scores.flatten()[kept], stable=True).indices
    return kept[order[: max(0, len(kept) - keep)]].sort().values


def _check_count(count: int, possible: int, keep_per_layer: int) -> None:
    if count > possible:
        raise InputError(
            "masks",
            expected=f"at least {count} weights that can be pruned",
            found=f"{possible}, as each layer keeps {keep_per_layer}",
            remedy="Prune a smaller fraction.",
        )
