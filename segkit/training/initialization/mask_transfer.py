"""Fit a mask to the network of a training, which may have other channels or labels."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from torch import nn

from segkit.errors import InputError
from segkit.networks.mask_file import MaskFile
from segkit.networks.masks import Masks, dense_masks, kept_and_total, layer_counts
from segkit.plans.plan import Plan
from segkit.training.transfer import input_kernels, merge_slices, name_pairs

log = logging.getLogger(__name__)


def fit_mask(network: nn.Module, plan: Plan, mask: MaskFile) -> tuple[MaskFile, dict[str, Any]]:
    """Return the mask of each kernel of ``network``, and a report in JSON types.

    A kernel of the same name and shape takes the mask as it is. Of a kernel that takes the
    network's input, the channels that the mask has under the same name take it. All other weights
    are kept.

    Args:
        network: the network to train.
        plan: its plan, for the names of the channels.
        mask: the mask, of this or of a similar network.

    Raises:
        InputError: the mask fits no kernel; or a network with weight standardization, in which a
            weight of 0 does not stay 0.
    """
    _check_norm(plan, mask)
    masks = dense_masks(network)
    channels = [channel.name for channel in plan.channels]
    has_same_channels = not mask.channels or list(mask.channels) == channels
    first_kernels = set() if has_same_channels else input_kernels(network, plan)
    pairs = name_pairs(channels, mask.channels)
    taken = []
    for name in masks.keys() & mask.masks.keys():
        own, given = masks[name], mask.masks[name]
        if name in first_kernels:
            fitted = merge_slices(own, given, 1, pairs)
        else:
            fitted = given if own.shape == given.shape else None
        if fitted is not None:
            masks[name] = fitted
            taken.append(name)
    if not taken:
        raise _fits_nothing(mask, masks)
    dense = sorted(masks.keys() - set(taken))
    return MaskFile(masks, tuple(channels), mask.origin), _report(mask, masks, dense=dense)


def _report(mask: MaskFile, masks: Masks, *, dense: list[str]) -> dict[str, Any]:
    kept, total = kept_and_total(masks)
    not_taken = sorted(mask.masks.keys() - (masks.keys() - set(dense)))
    log.info(
        "mask %s keeps %d of the %d weights of %d kernels (%.2f %%), the others stay 0",
        mask.hash,
        kept,
        total,
        len(masks),
        100 * kept / total,
    )
    if mask.origin:
        origin = mask.origin
        log.info(
            "the mask was made on %s, with %d training cases", origin.dataset, origin.training_cases
        )
    _warn(masks, dense=dense, not_taken=not_taken)
    facts = {"hash": mask.hash, "kept": kept, "weights": total, "kernels": len(masks)}
    made_on = {"origin": dataclasses.asdict(mask.origin)} if mask.origin else {}
    return {**facts, **made_on, "dense": dense, "not_taken": not_taken}


def _warn(masks: Masks, *, dense: list[str], not_taken: list[str]) -> None:
    """Log the kernels that the mask does not fit, and those of which it keeps nothing."""
    if dense or not_taken:
        log.warning(
            "the mask does not fit these kernels, which stay dense: %s; not taken from it: %s",
            ", ".join(dense) or "none",
            ", ".join(not_taken) or "none",
        )
    if dead := [count.name for count in layer_counts(masks) if not count.kept]:
        log.warning("nothing passes through these kernels, all of 0: %s", ", ".join(dead))


def _check_norm(plan: Plan, mask: MaskFile) -> None:
    if any(layer.norm == "group_ws" for layer in plan.network.layers):
        raise InputError(
            f"mask {mask.hash}",
            expected="a network whose weights are used as they are",
            found="network.norm=group_ws, whose weight standardization moves pruned weights off 0",
            remedy="Train with network.norm=group, or without a mask.",
        )


def _fits_nothing(mask: MaskFile, masks: Masks) -> InputError:
    return InputError(
        f"mask {mask.hash}",
        expected="masks of kernels like those of the network to train",
        found=f"none that agrees in name and shape with any of its {len(masks)} kernels",
        remedy="Follow the plan of the network that the mask was made for: plan=RUN/plan.json, or "
        "weights=MODEL.",
    )
