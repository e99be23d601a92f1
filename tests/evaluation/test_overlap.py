"""Tests of overlap metrics on masks that can be counted by hand, and against MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_confusion_matrix_metric, get_confusion_matrix

from segkit.evaluation.overlap import Overlap, dice, overlap

EMPTY = np.zeros((4, 4, 4), bool)


def cube(start: int, stop: int) -> np.ndarray:
    mask = EMPTY.copy()
    mask[start:stop, :2, :2] = True
    return mask


def test_half_overlap() -> None:
    found = overlap(cube(0, 2), cube(1, 3))
    assert found == Overlap(predicted=8, reference=8, both=4)
    assert found.dice() == dice(cube(0, 2), cube(1, 3)) == 0.5
    assert found.iou() == pytest.approx(1 / 3)


def test_a_prediction_that_is_too_small_is_precise_and_not_sensitive() -> None:
    found = overlap(cube(0, 1), cube(0, 4))
    assert (found.sensitivity(), found.precision()) == (0.25, 1.0)
    assert (found.voxel_difference(), found.relative_volume_error()) == (-12.0, -0.75)


def test_a_missed_label() -> None:
    missed = overlap(EMPTY, cube(0, 1))
    assert missed.dice() == missed.iou() == missed.sensitivity() == 0
    assert math.isnan(missed.precision())
    assert (missed.voxel_difference(), missed.relative_volume_error()) == (-4, -1)


def test_a_label_that_is_not_there() -> None:
    false = overlap(cube(0, 1), EMPTY)
    assert false.dice() == false.iou() == false.precision() == 0
    assert math.isnan(false.sensitivity())
    assert (false.voxel_difference(), false.relative_volume_error()) == (4, math.inf)


def test_two_empty_masks_have_no_value() -> None:
    nothing = overlap(EMPTY, EMPTY)
    values = [nothing.dice(), nothing.iou(), nothing.sensitivity(), nothing.precision()]
    values += [nothing.voxel_difference(), nothing.relative_volume_error()]
    assert all(math.isnan(value) for value in values)


def test_agrees_with_monai() -> None:
    predicted, reference = np.random.default_rng(0).random((2, 9, 8, 7)) > 0.6
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, reference)]
    matrix = get_confusion_matrix(*tensors, include_background=True)
    found = overlap(predicted, reference)
    for name, value in {
        "sensitivity": found.sensitivity(),
        "precision": found.precision(),
        "f1 score": found.dice(),
        "threat score": found.iou(),
    }.items():
        assert value == pytest.approx(float(compute_confusion_matrix_metric(name, matrix)))
