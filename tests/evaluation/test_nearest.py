"""Tests of distances between masks: each way of finding them gives those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segkit.evaluation import nearest
from segkit.evaluation.nearest import distances_to


def sparse(seed: int, shape: tuple[int, ...], share: float) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("per_query", [0, 10**9], ids=["tree", "transform"])
@pytest.mark.parametrize("share", [0.3, 0.003])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((14, 12, 17), (1.0, 1.0, 1.0)), ((14, 12, 17), (0.7, 5.0, 0.9)), ((40, 31), (0.3, 0.5))],
)
def test_distances_are_those_of_scipy(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    share: float,
    per_query: int,
) -> None:
    monkeypatch.setattr(nearest, "VOXELS_PER_QUERY", per_query)
    monkeypatch.setattr(nearest, "POINTS_PER_VOXEL", 10**9)
    source, target = sparse(1, shape, 0.2), sparse(2, shape, share)
    target[0, 0] = True
    expected = ndimage.distance_transform_edt(~target, sampling=spacing)[source]
    for order in ("C", "F"):
        masks = (np.asarray(mask, order=order) for mask in (source, target))
        np.testing.assert_allclose(distances_to(*masks, spacing), expected, rtol=1e-6)


def test_the_two_ways_are_both_taken() -> None:
    """A far voxel beside few others needs a tree, many far voxels a transform."""
    target, one, many = (np.zeros((30, 30, 30), bool) for _ in range(3))
    target[0], one[9, 5, 5], many[20:] = True, True, True
    assert distances_to(one, target, (1.0, 1.0, 1.0)).tolist() == [9.0]
    assert distances_to(many, target, (1.0, 1.0, 1.0)).max() == 29.0


def test_no_target_is_infinitely_far() -> None:
    mask = np.ones((3, 3), bool)
    assert np.isinf(distances_to(mask, ~mask, (1.0, 1.0))).all()
    assert distances_to(~mask, mask, (1.0, 1.0)).size == 0
