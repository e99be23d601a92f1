"""Overlap of a label map with its probabilities, by hand and part by part."""

from __future__ import annotations

import numpy as np
import pytest

from segkit.quality.soft_overlap import SoftOverlap


def scores_of(*columns: tuple[float, ...]) -> np.ndarray:
    """Return scores (K, n, 1, 1) whose probabilities are the columns."""
    return np.log(np.array(columns, np.float32)).T.reshape(len(columns[0]), -1, 1, 1)


def test_labels_by_hand() -> None:
    overlap = SoftOverlap(2)
    overlap.add(scores_of((0.1, 0.8, 0.1), (0.6, 0.4, 0.0001), (0.1, 0.1, 0.8)))
    assert overlap.voxels.tolist() == [1, 1]
    # Label 1: 0.8 inside, 0.8 + 0.4 + 0.1 everywhere: 2 x 0.8 / (1 + 1.3).
    assert overlap.dice()[0] == pytest.approx(1.6 / 2.3, rel=1e-3)
    assert overlap.confidence().tolist() == pytest.approx([0.8, 0.8], rel=1e-3)


def test_regions_have_probabilities_of_their_own() -> None:
    overlap = SoftOverlap(2, regions=True)
    overlap.add(np.log(np.array([[3, 1 / 3], [3, 3]], np.float32)).reshape(2, 2, 1, 1))
    # Scores log 3 and -log 3 are probabilities of 3/4 and 1/4.
    assert overlap.voxels.tolist() == [1, 2]
    np.testing.assert_allclose(overlap.dice(), [1.5 / 2, 3 / 3.5], rtol=1e-6)


def test_a_label_without_voxels_has_zero() -> None:
    overlap = SoftOverlap(1)
    overlap.add(scores_of((0.9, 0.1)))
    assert (overlap.dice().tolist(), overlap.confidence().tolist()) == ([0.0], [0.0])


@pytest.mark.parametrize("regions", [False, True])
def test_parts_add_up(regions: bool) -> None:
    scores = np.random.default_rng(0).normal(0, 2, (3, 40, 40, 40)).astype(np.float32)
    labels = 3 if regions else 2
    whole, parts = SoftOverlap(labels, regions=regions), SoftOverlap(labels, regions=regions)
    whole.add(scores)
    for part in np.split(scores, 4, axis=2):
        parts.add(part)
    np.testing.assert_allclose(parts.dice(), whole.dice(), rtol=1e-6)
    assert parts.voxels.tolist() == whole.voxels.tolist()
