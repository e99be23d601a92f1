"""Training patches: patch i of epoch e is a pure function of (seed, e, i).

An epoch samples every case once, in a random order; `label_balance` moves some patches to labels
that few cases have. All random numbers of a patch come from a counter-based generator keyed by
(seed, epoch, index), so nothing has to be stored for a resume. At the end of a training, patches
are no longer augmented, except that the elements of the plan's ``training_poses`` still move them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from segkit.config.schema import AugmentConfig, TrainConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.augment_intensity import (
    augment_intensity,
    one_thread,
    without_augmentation,
)
from segkit.training.data.augment_spatial import (
    draw_placement,
    flat_axis,
    mirror,
    move,
    resample_patch,
)
from segkit.training.data.label_balance import balance_labels
from segkit.training.data.shared_memory import shared_if_possible

ORDER_STREAM = 0xFFFF_FFFF
"""Index of the random stream that shuffles the cases of an epoch; no patch has it."""
NO_PATCH = (1 << 63) - 1
"""Number that no patch has."""
BALANCE_STREAMS = 0x8000_0000
"""Bit in the index of the random stream that decides whether a patch is moved to another case."""


def stream(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random generator of patch ``index`` of ``epoch``: Philox with the three as key."""
    key = np.array([seed, (epoch << 32) | index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True)
class PatchRules:
    """Everything that a patch depends on besides its number and the cases."""

    plan: Plan
    augment: AugmentConfig
    seed: int
    foreground: float
    """Fraction of patches that are centered on a voxel of a random label of the case."""


class PatchDataset(TorchDataset[dict[str, Any]]):
    """Dataset whose item n is patch n % cases of epoch n // cases."""

    def __init__(self, cases: Sequence[PreparedCase], rules: PatchRules) -> None:
        self.cases = list(cases)
        self.rules = rules
        plan = replace(rules.plan, mirror_axes=())
        self._plain = replace(rules, plan=plan, augment=without_augmentation(rules.augment))
        self._plain_from = shared_if_possible(torch.tensor(NO_PATCH))
        self.balance = balance_labels([_labels_of(case) for case in self.cases], rules.foreground)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return patch ``number``; see `patch`."""
        return self.patch(number // len(self.cases), number % len(self.cases))

    def patch(self, epoch: int, index: int) -> dict[str, Any]:
        """Return patch ``index`` of ``epoch``.

        Its "image" is (C, *patch) float32, "labels" is (*patch) integers, "case" is the id.
        """
        case, center, random = self.draw(epoch, index)
        plain = epoch * len(self.cases) + index >= int(self._plain_from)
        image, labels = cut_patch(case, self._plain if plain else self.rules, center, random)
        return {"image": image, "labels": labels, "case": case.id}

    @property
    def is_shared(self) -> bool:
        """True if processes that cut patches see when the augmentation ends."""
        return bool(self._plain_from.is_shared())  # type: ignore[no-untyped-call]

    def plain(self) -> PatchDataset:
        """Return the same patches without augmentation, except for channel_dropout."""
        plain = PatchDataset(self.cases, self.rules)
        plain.plain_from(0)
        return plain

    def plain_from(self, number: int) -> None:
        """End the augmentation with patch ``number``; only channel_dropout continues."""
        self._plain_from.fill_(number)

    def draw(
        self, epoch: int, index: int
    ) -> tuple[PreparedCase, NDArray[np.int64], np.random.Generator]:
        """Return case and center (3,) of a patch, and the generator for its augmentation."""
        random = stream(self.rules.seed, epoch, index)
        moved = None
        if self.balance.share:
            moved = self.balance.draw(stream(self.rules.seed, epoch, BALANCE_STREAMS | index))
        if moved:
            number, label = moved
            case = self.cases[number]
            return case, center_on(case, label, self.rules.plan, random), random
        case = self.cases[_order(self.rules.seed, epoch, len(self.cases))[index]]
        return case, draw_center(case, self.rules, random), random


def training_patches(
    cases: Sequence[PreparedCase], plan: Plan, config: TrainConfig
) -> PatchDataset:
    """Return the patches that a training with these settings draws from its cases."""
    rules = PatchRules(plan, config.augment, config.seed, config.trainer.foreground)
    return PatchDataset(cases, rules)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, cases: int) -> NDArray[np.int64]:
    """Return the shuffled numbers of the cases of an epoch."""
    return stream(seed, epoch, ORDER_STREAM).permutation(cases)


class PatchNumbers(Sampler[int]):
    """Endless patch numbers from ``start``, so that a resumed run continues where it stopped.

    Each of ``world_size`` processes takes every ``world_size``-th number. Batch k of all processes
    together contains the patches of batch k of a single process with the same total batch size.
    """

    def __init__(self, start: int = 0, *, rank: int = 0, world_size: int = 1) -> None:
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[int]:
        """Return the numbers of this process's patches."""
        return itertools.count(self.start + self.rank, self.world_size)


def _labels_of(case: PreparedCase) -> list[int]:
    """Return the indices of the labels of a case, without background.

    The case stores voxels of background only if some of its voxels are not annotated.
    """
    return sorted(index for index in case.voxels if index)


def draw_center(
    case: PreparedCase, rules: PatchRules, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random center (3,) of a patch, on a label of the case or anywhere.

    The center is the index of the first voxel plus half the edge, rounded down.
    """
    labels = _labels_of(case)
    candidates = labels if random.random() < rules.foreground else []
    if not candidates and rules.plan.ignore is not None:
        # If a case is partly annotated, every patch is centered on an annotated voxel.
        candidates = [0] if 0 in case.voxels else labels
    if candidates:
        label = candidates[random.integers(len(candidates))]
        return center_on(case, label, rules.plan, random)
    low, high = _starts(case, rules.plan)
    return np.asarray(
        random.integers(low, high, endpoint=True) + np.array(rules.plan.patch) // 2, dtype=np.int64
    )


def center_on(
    case: PreparedCase, label: int, plan: Plan, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return the center (3,) of a patch around a random stored voxel of the index ``label``."""
    positions, half = case.voxels[label], np.array(plan.patch) // 2
    start = np.clip(positions[random.integers(len(positions))] - half, *_starts(case, plan))
    return np.asarray(start + half, dtype=np.int64)


def _starts(case: PreparedCase, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest and the highest index (3,) of the first voxel of a patch.

    A patch extends beyond the scan only if it is larger than the scan.
    """
    last_start = np.array(case.labels.shape) - np.array(plan.patch)
    return np.minimum(0, last_start), np.maximum(0, last_start)


def cut_patch(
    case: PreparedCase, rules: PatchRules, center: NDArray[np.int64], random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the augmented image (C, *patch) float32 and labels (*patch) of a patch.

    Args:
        case: the case, at the plan's spacing.
        rules: plan and augmentation.
        center: index (3,) of the voxel at the center of the patch.
        random: generator of all random numbers.
    """
    plan, augment = rules.plan, rules.augment
    placement = draw_placement(plan, augment, random)
    reach = placement.reach(plan.patch)
    start = center - reach // 2
    case.will_read(start, start + reach)
    with one_thread():
        image, labels = _cut(case.image, start, reach), _cut(case.labels[None], start, reach)[0]
        image, labels = resample_patch(image, labels, placement, plan.patch)
        image, labels = mirror(image, labels, plan, random)
        image, labels = move(image, labels, plan, random)
        return augment_intensity(image, augment, flat_axis(plan, augment.dummy_2d), random), labels


def _cut(array: NDArray[Any], start: NDArray[np.int64], size: NDArray[np.int64]) -> Tensor:
    """Return the box (C, *size) from ``start`` as float32 or integers; outside are zeros."""
    stop = start + size
    # Clip both ends: a patch larger than a thin scan may draw a box beside it, which is all zeros.
    inside = tuple(
        slice(min(max(0, int(first)), edge), min(max(0, int(last)), edge))
        for first, last, edge in zip(start, stop, array.shape[1:], strict=True)
    )
    dtype: type[np.generic] = np.int32  # PyTorch supports little for unsigned integers over 8 bits
    if array.dtype.kind == "f":
        dtype = np.float32
    elif array.dtype == np.uint8:
        dtype = np.uint8
    shape = (array.shape[0], *(int(edge) for edge in size))
    voxels = np.array(array[(slice(None), *inside)], dtype=dtype)
    if voxels.shape == shape:
        return torch.from_numpy(voxels)
    box = np.zeros(shape, dtype=dtype)
    target = tuple(
        slice(part.start - int(first), part.stop - int(first))
        for part, first in zip(inside, start, strict=True)
    )
    box[(slice(None), *target)] = voxels
    return torch.from_numpy(box)
