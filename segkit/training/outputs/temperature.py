"""Fit of temperatures to the scores of validation cases, which the network was not trained on.

The temperature is that of the smallest negative log-likelihood of the reference among
`TEMPERATURES`. The expected calibration error (`segkit.evaluation.calibration`: 15 bins, each label
against the rest, voxels up to 10 mm around the label) is given without a temperature, and with one
that was fitted to other cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.special import expit, log_expit
from torch import Tensor

from segkit.evaluation.calibration import NO_VOXELS, Reliability, reliability
from segkit.evaluation.probability_maps import MARGIN
from segkit.labels.voxel_values import softmax
from segkit.plans.plan import Plan
from segkit.quality.accuracy import MAX_GROUPS, MIN_CASES
from segkit.quality.calibration import calibration_entry
from segkit.volume import Box

TEMPERATURES = tuple(2 ** (step / 4) for step in range(-4, 13))
"""Temperatures to choose from, 0.5 to 8, in steps of 19 %."""
ONE = TEMPERATURES.index(1.0)
MAX_VOXELS = 1 << 17
"""Largest number of voxels of a case that count, evenly chosen, so that many labels stay fast."""


@dataclass(frozen=True, eq=False)
class CaseCalibration:
    """Sums over the voxels of one case at each of T temperatures."""

    loss: NDArray[np.float64]
    """Negative log-likelihood (T, G): G is 1 for labels, which share a temperature, or the number
    of regions."""
    labels: Mapping[str, Sequence[Reliability]]
    """Reliability at each temperature, of each label in prediction or reference."""


def case_calibration(
    scores: Tensor, reference: NDArray[np.integer[Any]], plan: Plan
) -> CaseCalibration | None:
    """Return the sums of one case; None if it has no label in prediction or reference.

    Only the scores of the voxels that count are copied from the device.

    Args:
        scores: scores (K, X, Y, Z), on any device.
        reference: class indices (X, Y, Z); voxels that nobody has annotated are left out.
        plan: the plan of the network.
    """
    annotated = reference <= len(plan.targets)
    boxes = _boxes(scores, np.where(annotated, reference, 0), plan)
    if not boxes:
        return None
    voxels = _voxels(boxes.values(), annotated)
    at_voxels = torch.from_numpy(voxels).to(scores.device)
    chosen = scores.reshape(len(scores), -1)[:, at_voxels].float().cpu().numpy()
    right = _truth(plan)[:, reference.ravel()[voxels]]
    inside = {name: _are_inside(voxels, box, reference.shape) for name, box in boxes.items()}
    losses: list[NDArray[np.float64]] = []
    labels: dict[str, list[Reliability]] = {name: [] for name in boxes}
    for temperature in TEMPERATURES:
        divided = np.float32(1 / temperature) * chosen
        losses.append(_loss(divided, right, regions=bool(plan.regions)))
        values = expit(divided) if plan.regions else softmax(divided)[1:]
        for name, found, own in zip(plan.labels, values, right, strict=True):
            if name in boxes:
                labels[name].append(reliability(found[inside[name]], own[inside[name]]))
    return CaseCalibration(np.array(losses), labels)


def _truth(plan: Plan) -> NDArray[np.bool_]:
    """Return which class index (column) belongs to each label or region (row)."""
    if plan.regions:
        return np.array(plan.membership, np.bool_)
    return np.eye(1 + len(plan.labels), dtype=np.bool_)[1:]


def _boxes(scores: Tensor, reference: NDArray[np.integer[Any]], plan: Plan) -> dict[str, Box]:
    """Return the box around prediction and reference of each label, enlarged by `MARGIN`."""
    count = len(plan.labels)
    if plan.regions:  # one mask at a time: they overlap
        ours = [_only_box((score > 0).cpu().numpy()) for score in scores]
        theirs = [_only_box(row[reference]) for row in _truth(plan)]
    else:
        ours = find_objects(scores.argmax(0).cpu().numpy(), max_label=count)
        theirs = find_objects(reference, max_label=count)
    boxes = {}
    for name, *found in zip(plan.labels, ours, theirs, strict=True):
        own = [box for box in found if box is not None]
        if own:
            boxes[name] = _around(own, reference.shape, plan)
    return boxes


def _only_box(mask: NDArray[np.bool_]) -> Any:
    """Return the box around a mask; None for an empty one."""
    return find_objects(mask.astype(np.uint8), max_label=1)[0]


def _around(boxes: Sequence[tuple[slice, ...]], shape: Sequence[int], plan: Plan) -> Box:
    """Return the box that holds all boxes, enlarged by `MARGIN`."""
    sides = []
    for axis, (size, edge) in enumerate(zip(shape, plan.spacing, strict=True)):
        margin = math.ceil(MARGIN / (edge or 1.0))
        start = min(box[axis].start for box in boxes) - margin
        stop = max(box[axis].stop for box in boxes) + margin
        sides.append(slice(max(0, start), min(size, stop)))
    return sides[0], sides[1], sides[2]


def _voxels(boxes: Iterable[Box], annotated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the flat indices of annotated voxels in any of the boxes, evenly chosen."""
    counted = np.zeros_like(annotated)
    for box in boxes:
        counted[box] = annotated[box]
    flat = np.flatnonzero(counted)
    if flat.size > MAX_VOXELS:
        flat = flat[np.linspace(0, flat.size - 1, MAX_VOXELS).astype(np.int64)]
    return flat


def _are_inside(voxels: NDArray[np.int64], box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return whether each of the voxels, by flat index, is in a box."""
    inside = np.zeros(shape, np.bool_)
    inside[box] = True
    return inside.ravel()[voxels]


def _loss(
    scores: NDArray[np.float32], right: NDArray[np.bool_], *, regions: bool
) -> NDArray[np.float64]:
    """Return the negative log-likelihood of scores (K, n): (1,) of labels, (K,) of regions."""
    if regions:
        signed = np.where(right, scores, -scores).astype(np.float64)
        return np.asarray(-log_expit(signed).sum(axis=1))
    classes = np.where(right.any(axis=0), 1 + right.argmax(axis=0), 0)
    shifted = (scores - scores.max(axis=0)).astype(np.float64)
    of_class = np.take_along_axis(shifted, classes[None], axis=0)[0]
    return np.array([float((np.log(np.exp(shifted).sum(axis=0)) - of_class).sum())])


def fitted_calibration(
    cases: Sequence[CaseCalibration], plan: Plan, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the entry of bundle.json; empty for too few cases, and for cases of a single group.

    Args:
        cases: sums of each case.
        plan: the plan of the network.
        groups: group of each case, as in `segkit.quality.accuracy.groups_of_cases`; None makes
            each case a patient of its own.
    """
    if groups is None:
        groups = [str(number % MAX_GROUPS) for number in range(len(cases))]
    if len(cases) < MIN_CASES or len(set(groups)) < 2:
        return {}
    of_others = {
        group: _best([one for one, g in zip(cases, groups, strict=True) if g != group])
        for group in set(groups)
    }
    before = [np.full_like(_best(cases), ONE) for _ in cases]
    after = [of_others[group] for group in groups]
    chosen = _by_label(_best(cases), plan)
    return calibration_entry(
        len(cases),
        {name: TEMPERATURES[index] for name, index in chosen.items()},
        _errors(cases, before, plan),
        _errors(cases, after, plan),
    )


def _best(cases: Sequence[CaseCalibration]) -> NDArray[np.intp]:
    """Return the index of the temperature with the smallest loss over all cases, (G,)."""
    total: NDArray[np.float64] = np.sum([one.loss for one in cases], axis=0)
    return np.asarray(total.argmin(axis=0))


def _by_label(indices: NDArray[np.intp], plan: Plan) -> dict[str, int]:
    """Return the index of the temperature of each label."""
    each = indices.tolist() if plan.regions else indices.tolist() * len(plan.labels)
    return dict(zip(plan.labels, each, strict=True))


def _errors(
    cases: Sequence[CaseCalibration], indices: Sequence[NDArray[np.intp]], plan: Plan
) -> dict[str, float]:
    """Return the calibration error of each label over all cases, each at its own temperatures."""
    totals: dict[str, Reliability] = {}
    for case, chosen in zip(cases, indices, strict=True):
        by_label = _by_label(chosen, plan)
        for name, found in case.labels.items():
            totals[name] = totals.get(name, NO_VOXELS) + found[by_label[name]]
    return {name: totals[name].ece() for name in plan.labels if name in totals}
