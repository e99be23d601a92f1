"""The label map of a turned scan is the turned label map, for sizes that windows do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import segkit
from segkit.bundle.bundle import write_bundle
from segkit.networks import build_network
from segkit.networks.equivariance import moved
from segkit.plans.symmetry import Element
from segkit.plans.symmetry_rules import moved_outputs, window_elements
from tests.symmetric_plans import planned

SIZE = (11, 19, 14)
"""Sizes of a scan: smaller and larger than a window, odd and even."""


def turned(voxels: NDArray[np.float32], element: Element) -> NDArray[np.float32]:
    """Return voxels (C, X, Y, Z) moved by ``element``."""
    found: NDArray[np.float32] = moved(torch.from_numpy(voxels)[None], element)[0].numpy()
    return np.ascontiguousarray(found)


@pytest.mark.parametrize("group", ["mirror", "octahedral48"])
def test_probabilities_turn_with_the_scan(group: str, tmp_path: Path) -> None:
    plan = planned(group, 3, inputs=1, stages=2)
    torch.manual_seed(0)
    network = build_network(plan)
    with torch.no_grad():
        network.get_parameter("head.weight").mul_(3)
    write_bundle(tmp_path, plan, {"name": "turns"}, {"0": network.state_dict()})
    predictor = segkit.load(tmp_path, precision="float32")

    def predicted(scan: NDArray[np.float32]) -> NDArray[np.float32]:
        result = predictor.predict(scan[0], spacing=(1, 1, 1), probabilities=True)
        assert result.probabilities is not None
        return np.asarray(result.probabilities.array)

    scan = np.random.Generator(np.random.Philox(0)).standard_normal((1, *SIZE), np.float32)
    expected = predicted(scan)
    assert expected.std() > 0.01
    found = window_elements(plan)
    for element in found[1 :: max(1, len(found) // 5)]:
        outputs = list(moved_outputs(plan, element))
        difference = predicted(turned(scan, element)) - turned(expected[outputs], element)
        assert np.abs(difference).max() < 1e-5
    if group == "mirror":  # a turn is not in this group
        other = Element((0, 1, 2), (1, -1, 1))
        assert np.abs(predicted(turned(scan, other)) - turned(expected, other)).max() > 1e-3
