from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segkit.errors import InputError
from segkit.inference.export.comparison import Agreement, compare

SCORES = torch.tensor([[[0.0, 4.0]], [[2.0, 2.0]]]).reshape(1, 2, 2, 1)
"""Scores of two outputs for two voxels, with the mean 2; 8 / 3 is their variance."""


def test_the_largest_difference_in_standard_deviations() -> None:
    def moved(_window: Tensor) -> Tensor:
        return SCORES + torch.tensor([2.5, 0.0]).reshape(1, 2, 1, 1)

    found = compare(moved, lambda _: SCORES, [SCORES], regions=False)
    assert found.difference == pytest.approx(2.5 / math.sqrt(8 / 3))
    assert (found.other_labels, found.voxels) == (1, 2)  # 2.5 against 2 is the first output now
    # As regions, the first output applies to both voxels now, and only to the second before.
    assert compare(moved, lambda _: SCORES, [SCORES], regions=True).other_labels == 1


def test_what_is_accepted_and_what_is_not(tmp_path: Path) -> None:
    Agreement(1e-3, 0, 8).check(tmp_path)
    message = (
        "x.onnx: expected scores that differ from segkit's by at most 0.001 of their standard"
        " deviation, found scores differ by at most 0.002 of their standard deviation, and the"
        " labels of 1 of 8 voxels differ. The file was not written."
    )
    with pytest.raises(InputError, match=message):
        Agreement(2e-3, 1, 8).check(Path("x.onnx"))
    nan = compare(lambda _: SCORES * math.nan, lambda _: SCORES, [SCORES], regions=False)
    with pytest.raises(InputError, match="differ by at most nan"):
        nan.check(tmp_path)
