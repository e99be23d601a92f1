"""Tests of distances between masks: each way of finding them gives those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segkit.evaluation import nearest
from segkit.evaluation.nearest import distances_to


def sparse(seed: int, shape: tuple[int, ...], share: float) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize(
    ("lookups", "per_query"),
    [(10**9, 0), (0, 0), (0, 10**9)],
    ids=["lines", "tree", "transform"],
)
@pytest.mark.parametrize("share", [0.3, 0.003])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((14, 12, 17), (1.0, 1.0, 1.0)),
        ((14, 12, 17), (0.7, 5.0, 0.9)),
        ((14, 12, 17), (5.0, 0.9, 0.7)),
        ((40, 31), (0.3, 0.5)),
        ((80,), (0.5,)),
    ],
)
def test_distances_are_those_of_scipy(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    share: float,
    lookups: int,
    per_query: int,
) -> None:
    monkeypatch.setattr(nearest, "LOOKUPS_PER_VOXEL", lookups)
    monkeypatch.setattr(nearest, "VOXELS_PER_QUERY", per_query)
    monkeypatch.setattr(nearest, "POINTS_PER_VOXEL", 10**9)
    source, target = sparse(1, shape, 0.2), sparse(2, shape, share)
    target.flat[0] = True
    expected = ndimage.distance_transform_edt(~target, sampling=spacing)[source]
    for order in ("C", "F"):
        masks = (np.asarray(mask, order=order) for mask in (source, target))
        np.testing.assert_allclose(distances_to(*masks, spacing), expected, rtol=1e-6)


@pytest.mark.parametrize("way", ["_look_around", "_along_lines", "_at_any_distance"])
def test_each_way_is_taken(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The nearest voxels need offsets, others lines, and the farthest a tree or a transform."""
    target, source = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    target[0], source[:, 3, 4] = True, True
    spacing, expected = (1.0, 1.0, 1.0), list(map(float, range(30)))
    assert distances_to(source, target, spacing).tolist() == expected

    monkeypatch.setattr(nearest, way, lambda indices, *_: np.full(indices.shape[1], np.nan))
    assert np.isnan(distances_to(source, target, spacing)).any()


def test_no_target_is_infinitely_far() -> None:
    mask = np.ones((3, 3), bool)
    assert np.isinf(distances_to(mask, ~mask, (1.0, 1.0))).all()
    assert distances_to(~mask, mask, (1.0, 1.0)).size == 0
