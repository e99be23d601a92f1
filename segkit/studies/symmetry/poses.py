"""Prediction of scans in every pose of a group, moved back to the pose of the scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from segkit.networks.equivariance import equivariance_errors, moved, moved_scores
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.symmetry import Element
from segkit.preprocessing.case_store import PreparedCase
from segkit.studies.cells import Row
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.training.data.patches import training_patches
from segkit.training.validation import dice_by_name, predict_scan

CANONICAL = "(x,y,z)"
"""Name of the pose in which a scan is stored."""
DICE, AVERAGED = "dice", "dice_averaged"
"""Measures: of a prediction in one pose, and of the mean score over all poses of a group."""
ERROR_PATCHES = 2
"""Number of patches on which equivariance errors are measured."""


def pose_name(element: Element) -> str:
    """Return an element as the coordinates of the point to which (x, y, z) is moved.

    >>> pose_name(Element((1, 0, 2), (-1, 1, 1)))
    '(-y,x,z)'
    """
    signs = ("-" if sign < 0 else "" for sign in element.signs)
    parts = (f"{sign}{'xyz'[axis]}" for sign, axis in zip(signs, element.axes, strict=True))
    return f"({','.join(parts)})"


@torch.inference_mode()
def pose_rows(
    cell: TrainedCell, case: PreparedCase, poses: Sequence[Element], *, average: bool
) -> Iterator[Row]:
    """Yield Dice by label of the scan in every pose, and perhaps of the mean over all of them.

    The scan is moved, predicted, and its scores are moved back, so that all poses are compared with
    the same labels. Reflections exchange the labels of the plan's ``mirror_swaps``.

    The mean over all poses of a group is the same for a scan in any of them, except for the
    rounding of the sum.

    Args:
        cell: network and plan.
        case: the scan.
        poses: elements by which it is moved.
        average: whether the mean is measured, of all elements of a group.
    """
    reference = torch.from_numpy(case.labels.astype("int64")).to(cell.device)
    total: Tensor | None = None
    for element in poses:
        scores = _scores_moved_back(cell, case, element)
        yield from _dice_rows(cell.plan, case, scores, reference, pose_name(element))
        if average:
            total = scores if total is None else total.add_(scores)
    if total is not None:
        for row in _dice_rows(cell.plan, case, total, reference, ""):
            yield {**row, "measure": AVERAGED}


def _scores_moved_back(cell: TrainedCell, case: PreparedCase, element: Element) -> Tensor:
    image = torch.from_numpy(case.image.copy()).to(cell.device)
    scores = predict_scan(
        cell.network,
        moved(image[None], element)[0],
        cell.plan,
        mode=cell.mode,
        device=cell.device,
        name=case.id,
    )
    return moved_scores(scores[None], element.inverse, cell.plan)[0].contiguous()


def _dice_rows(
    plan: Plan, case: PreparedCase, scores: Tensor, reference: Tensor, pose: str
) -> Iterator[Row]:
    for label, value in dice_by_name(scores, reference, plan).items():
        row: Row = {"measure": DICE, "case": case.id, "label": label, "value": value}
        yield {**row, "pose": pose} if pose else row


def largest_error(cell: TrainedCell, symmetry: SymmetryPlan) -> float:
    """Return the largest equivariance error of the trained network over all elements of a group.

    It is the largest difference between the scores of a moved patch and the moved scores of the
    patch, in standard deviations of the scores, on patches of the validation cases, in float32.
    """
    plan = dataclasses.replace(
        cell.plan, network=dataclasses.replace(cell.plan.network, symmetry=symmetry)
    )
    unmoved = dataclasses.replace(cell.plan, training_poses=None)
    patches = training_patches(cell.cases, unmoved, cell.config).plain()
    images = torch.stack([patches[number]["image"] for number in range(ERROR_PATCHES)])
    if plan.slice_axis is not None:
        images = images.squeeze(2 + plan.slice_axis)
    errors = [
        max(equivariance_errors(cell.network, plan, image[None].to(cell.device)).values())
        for image in images
    ]
    return max(errors)
