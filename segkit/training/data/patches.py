"""Training patches: patch i of epoch e is a pure function of (seed, e, i), whatever the number of workers.

An epoch shows every case once, in an order drawn for that epoch; `sampling` moves some patches to labels that few cases
have. All random numbers of a patch come from a counter-based generator keyed by (seed, epoch, index), so nothing has to
be remembered to resume. From some patch on none is changed at random any more, for the end of a training.
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

from segkit.config.schema import AugmentConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.augment_intensity import augment_intensity, one_thread, without_changes
from segkit.training.data.augment_spatial import draw_placement, flat_axis, mirror, resample_patch
from segkit.training.data.label_balance import balance_labels

ORDER_STREAM = 0xFFFF_FFFF
"""The index of the stream that shuffles an epoch's cases; no patch has it."""
NO_PATCH = (1 << 63) - 1
"""A number that no patch has."""
BALANCE_STREAMS = 0x8000_0000
"""Added to a patch's index: the stream that says whether the patch is moved to another case."""


def stream(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of patch ``index`` of ``epoch``: Philox, keyed by the three numbers."""
    key = np.array([seed, (epoch << 32) | index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True)
class PatchRules:
    """What a patch depends on besides its number."""

    plan: Plan
    augment: AugmentConfig
    seed: int
    foreground: float
    """Share of patches centred on a voxel of a label drawn evenly from those of the case."""


class PatchDataset(TorchDataset[dict[str, Any]]):
    """Item n is patch n % cases of epoch n // cases: image (C, *patch) float32 and labels (*patch) as stored."""

    def __init__(self, cases: Sequence[PreparedCase], rules: PatchRules) -> None:
        self.cases = list(cases)
        self.rules = rules
        plain = replace(rules.plan, mirror_axes=())
        self._plain = replace(rules, plan=plain, augment=without_changes(rules.augment))
        # Shared, so that processes that cut patches hear of it.
        self._plain_from: Tensor = torch.tensor(NO_PATCH).share_memory_()  # type: ignore[no-untyped-call]
        self.balance = balance_labels([_labels_of(case) for case in self.cases], rules.foreground)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.patch(number // len(self.cases), number % len(self.cases))

    def patch(self, epoch: int, index: int) -> dict[str, Any]:
        """Patch ``index`` of ``epoch``, with the id of its case."""
        case, centre, random = self.draw(epoch, index)
        plain = epoch * len(self.cases) + index >= int(self._plain_from)
        image, labels = cut_patch(case, self._plain if plain else self.rules, centre, random)
        return {"image": image, "labels": labels, "case": case.id}

    def plain_from(self, number: int) -> None:
        """From patch ``number`` on nothing is changed at random, but for a channel that is left out."""
        self._plain_from.fill_(number)

    def draw(
        self, epoch: int, index: int
    ) -> tuple[PreparedCase, NDArray[np.int64], np.random.Generator]:
        """Case and centre of a patch, and the generator for the rest of what is random about it."""
        random = stream(self.rules.seed, epoch, index)
        moved = (
            self.balance.draw(stream(self.rules.seed, epoch, BALANCE_STREAMS | index))
            if self.balance.share
            else None
        )
        if moved:
            case, label = self.cases[moved[0]], moved[1]
            return case, centre_on(case, label, self.rules.plan, random), random
        case = self.cases[_order(self.rules.seed, epoch, len(self.cases))[index]]
        return case, draw_centre(case, self.rules, random), random


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, cases: int) -> NDArray[np.int64]:
    """The cases of an epoch, shuffled."""
    return stream(seed, epoch, ORDER_STREAM).permutation(cases)


class PatchNumbers(Sampler[int]):
    """Endless patch numbers from ``start``: a resumed run starts where it stopped.

    Of ``world_size`` processes the one with number ``rank`` takes every ``world_size``-th: batch k of all of them
    together holds the patches that batch k of one process would hold, whose batches are as large as theirs together.
    """

    def __init__(self, start: int = 0, *, rank: int = 0, world_size: int = 1) -> None:
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.start + self.rank, self.world_size)


def _labels_of(case: PreparedCase) -> list[int]:
    """Indices of the labels that a case has, without background, which is there where voxels are ignored."""
    return sorted(index for index in case.voxels if index)


def draw_centre(
    case: PreparedCase, rules: PatchRules, random: np.random.Generator
) -> NDArray[np.int64]:
    """Index of the patch's first voxel plus half its edge, on a label of the case or anywhere."""
    labels = _labels_of(case)
    wanted = labels if random.random() < rules.foreground else []
    if not wanted and rules.plan.ignore is not None:
        # Of a case that is annotated in part, every patch is centred on an annotated voxel.
        wanted = [0] if 0 in case.voxels else labels
    if wanted:
        return centre_on(case, wanted[random.integers(len(wanted))], rules.plan, random)
    low, high = _starts(case, rules.plan)
    return np.asarray(
        random.integers(low, high, endpoint=True) + np.array(rules.plan.patch) // 2, dtype=np.int64
    )


def centre_on(
    case: PreparedCase, label: int, plan: Plan, random: np.random.Generator
) -> NDArray[np.int64]:
    """The centre of a patch around a voxel of ``label``."""
    positions, half = case.voxels[label], np.array(plan.patch) // 2
    start = np.clip(positions[random.integers(len(positions))] - half, *_starts(case, plan))
    return np.asarray(start + half, dtype=np.int64)


def _starts(case: PreparedCase, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lowest and the highest index of a patch's first voxel: it covers no more outside than it must."""
    room = np.array(case.labels.shape) - np.array(plan.patch)
    return np.minimum(0, room), np.maximum(0, room)


def cut_patch(
    case: PreparedCase, rules: PatchRules, centre: NDArray[np.int64], random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Image (C, *patch) float32 and labels (*patch) around ``centre``, after all random changes."""
    plan, augment = rules.plan, rules.augment
    placement = draw_placement(plan, augment, random)
    reach = placement.reach(plan.patch)
    start = centre - reach // 2
    case.will_read(start, start + reach)
    with one_thread():
        image, labels = _cut(case.image, start, reach), _cut(case.labels[None], start, reach)[0]
        image, labels = resample_patch(image, labels, placement, plan.patch)
        image, labels = mirror(image, labels, plan, random)
        return augment_intensity(image, augment, flat_axis(plan, augment.dummy_2d), random), labels


def _cut(array: NDArray[Any], start: NDArray[np.int64], size: NDArray[np.int64]) -> Tensor:
    """Box (C, *size) from ``start``, float32 or labels as they are stored; zeros where it leaves the array."""
    stop = start + size
    # Both ends inside the array: a box beside a thin scan, which a patch larger than the scan may draw, holds zeros.
    inside = tuple(
        slice(min(max(0, int(a)), n), min(max(0, int(b)), n))
        for a, b, n in zip(start, stop, array.shape[1:], strict=True)
    )
    # torch can do little with unsigned integers of more than 8 bits.
    dtype = (
        np.float32 if array.dtype.kind == "f" else np.uint8 if array.dtype == np.uint8 else np.int32
    )
    shape = (array.shape[0], *(int(n) for n in size))
    found = np.array(array[(slice(None), *inside)], dtype=dtype)
    if found.shape == shape:
        return torch.from_numpy(found)
    box = np.zeros(shape, dtype=dtype)
    target = tuple(
        slice(s.start - int(a), s.stop - int(a)) for s, a in zip(inside, start, strict=True)
    )
    box[(slice(None), *target)] = found
    return torch.from_numpy(box)
