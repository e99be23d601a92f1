"""Components of slabs, joined, equal those of the whole label map."""

from __future__ import annotations

from typing import Any, Literal

import cc3d
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.labels.components import erase_components, find_components, label_box


def drawn(seed: int, order: Literal["C", "F"] = "C") -> NDArray[Any]:
    """Return random labels 1 to 3 in a quarter of the voxels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((9, 7, 8)) < 0.25) * rng.integers(1, 4, (9, 7, 8))
    return np.asarray(labels, np.uint8, order=order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("slab", [1, 60, 120, 10**6])
def test_slabs_give_the_components_of_the_whole_map(
    monkeypatch: pytest.MonkeyPatch, order: Literal["C", "F"], slab: int
) -> None:
    monkeypatch.setattr("segkit.labels.components.SLAB_VOXELS", slab)
    for seed in range(10):
        labels = drawn(seed, order)
        components = cc3d.connected_components(labels, connectivity=26)
        figures = cc3d.statistics(components, no_slice_conversion=True)
        pieces = find_components(labels)
        assert pieces.voxels.tolist() == figures["voxel_counts"][1:].tolist()
        assert pieces.first.tolist() == figures["bounding_boxes"][1:, ::2].tolist()
        assert pieces.last.tolist() == figures["bounding_boxes"][1:, 1::2].tolist()
        assert all(
            labels[components == 1 + number].max() == value
            for number, value in enumerate(pieces.values)
        )
        kept, small = labels.copy(order="K"), pieces.voxels < 3
        erase_components(kept, pieces, small)
        assert np.array_equal(kept, np.where(np.append(False, small)[components], 0, labels))


def test_a_component_that_splits_and_rejoins_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.labels.components.SLAB_VOXELS", 1)
    ring = np.ones((5, 3, 1), np.uint8)
    ring[1:4, 1] = 0
    assert find_components(ring).voxels.tolist() == [12]
    assert (find_components(ring).first.tolist(), find_components(ring).last.tolist()) == (
        [[0, 0, 0]],
        [[4, 2, 0]],
    )
    assert find_components(ring[1:4].copy()).voxels.tolist() == [3, 3]


def test_merged_labels_count_as_one() -> None:
    labels = np.array([1, 2, 0, 3, 1], np.uint8).reshape(5, 1, 1)
    assert find_components(labels).voxels.tolist() == [1, 1, 1, 1]
    assert find_components(labels, merged=[1, 2]).voxels.tolist() == [2, 1]
    assert find_components(labels, merged=[3]).first.tolist() == [[3, 0, 0]]


def test_nothing_labeled() -> None:
    nothing = np.zeros((3, 4, 5), np.uint8)
    assert find_components(nothing).voxels.tolist() == []
    assert label_box(nothing, 1) is None


@pytest.mark.parametrize("slab", [1, 10**6])
def test_the_box_of_a_label(monkeypatch: pytest.MonkeyPatch, slab: int) -> None:
    monkeypatch.setattr("segkit.labels.components.SLAB_VOXELS", slab)
    labels = np.zeros((6, 5, 4), np.uint16)
    labels[1, 2, 3] = labels[4, 1, 3] = 300
    labels[0, 0, 0] = 5
    assert label_box(labels, 300) == (slice(1, 5), slice(1, 3), slice(3, 4))
