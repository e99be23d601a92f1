"""Training patches: patch i of epoch e is a pure function of (seed, e, i), whatever the number of workers.

An epoch shows every case once, in an order drawn for that epoch. All random numbers of a patch come from a
counter-based generator keyed by (seed, epoch, index), so nothing has to be remembered to resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from segkit.config import AugmentConfig
from segkit.plans import Plan
from segkit.preprocessing.store import PreparedCase
from segkit.training.augment import augment_intensity, draw_placement, mirror, resample_patch

ORDER_STREAM = 0xFFFF_FFFF
"""The index of the stream that shuffles an epoch's cases; no patch has it."""


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
    """Item n is patch n % cases of epoch n // cases: image (C, *patch) float32 and labels (*patch) int64."""

    def __init__(self, cases: Sequence[PreparedCase], rules: PatchRules) -> None:
        self.cases = list(cases)
        self.rules = rules

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.patch(number // len(self.cases), number % len(self.cases))

    def patch(self, epoch: int, index: int) -> dict[str, Any]:
        """Patch ``index`` of ``epoch``, with the id of its case."""
        order = stream(self.rules.seed, epoch, ORDER_STREAM).permutation(len(self.cases))
        case = self.cases[order[index]]
        random = stream(self.rules.seed, epoch, index)
        centre = draw_centre(case, self.rules, random)
        image, labels = cut_patch(case, self.rules, centre, random)
        return {"image": image, "labels": labels, "case": case.id}


class PatchNumbers(Sampler[int]):
    """Endless patch numbers from ``start``: a resumed run starts where it stopped."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        number = self.start
        while True:
            yield number
            number += 1


def draw_centre(case: PreparedCase, rules: PatchRules, random: np.random.Generator) -> NDArray[np.int64]:
    """Index of the patch's first voxel plus half its edge; the patch covers no more outside than it must."""
    shape, patch = np.array(case.labels.shape), np.array(rules.plan.patch)
    low, high = np.minimum(0, shape - patch), np.maximum(0, shape - patch)
    labels = sorted(index for index in case.voxels if index)
    wanted = labels if random.random() < rules.foreground else []
    if not wanted and rules.plan.ignore is not None:
        # Of a case that is annotated in part, every patch is centred on an annotated voxel.
        wanted = [0] if 0 in case.voxels else labels
    if wanted:
        positions = case.voxels[wanted[random.integers(len(wanted))]]
        start = np.clip(positions[random.integers(len(positions))] - patch // 2, low, high)
    else:
        start = random.integers(low, high, endpoint=True)
    return np.asarray(start + patch // 2, dtype=np.int64)


def cut_patch(
    case: PreparedCase, rules: PatchRules, centre: NDArray[np.int64], random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Image (C, *patch) and labels (*patch) around ``centre``, rotated, scaled, mirrored and changed in intensity."""
    plan = rules.plan
    placement = draw_placement(plan, rules.augment, random)
    reach = placement.reach(plan.patch)
    start = centre - reach // 2
    image, labels = _cut(case.image, start, reach), _cut(case.labels[None], start, reach)[0]
    image, labels = resample_patch(image, labels, placement, plan.patch)
    image, labels = mirror(image, labels, plan.mirror_axes, random)
    return augment_intensity(image, rules.augment, plan.slice_axis, random), labels


def _cut(array: NDArray[Any], start: NDArray[np.int64], size: NDArray[np.int64]) -> Tensor:
    """Box (C, *size) from ``start``; zeros where it leaves the array. Labels become int64."""
    stop = start + size
    # Both ends inside the array: a box beside a thin scan, which a patch larger than the scan may draw, holds zeros.
    inside = tuple(
        slice(min(max(0, int(a)), n), min(max(0, int(b)), n))
        for a, b, n in zip(start, stop, array.shape[1:], strict=True)
    )
    dtype = np.float32 if array.dtype.kind == "f" else np.int64
    box = np.zeros((array.shape[0], *(int(n) for n in size)), dtype=dtype)
    target = tuple(slice(s.start - int(a), s.stop - int(a)) for s, a in zip(inside, start, strict=True))
    box[(slice(None), *target)] = array[(slice(None), *inside)]
    return torch.from_numpy(box)
