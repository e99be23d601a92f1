from __future__ import annotations

import numpy as np
import pytest

from segkit.inference.restore import label_dtype, labels_of_scores
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.crop import Box
from segkit.preprocessing.orient import AxisMap
from segkit.preprocessing.resample import resample
from segkit.volume import Shape

SAME = AxisMap((0, 1, 2), (False, False, False))


def way(network: Shape, cropped: Shape, box: Box | None = None, source: Shape | None = None) -> WayBack:
    whole = (slice(0, cropped[0]), slice(0, cropped[1]), slice(0, cropped[2]))
    return WayBack(SAME, source or cropped, box or whole, cropped, network)


@pytest.mark.parametrize("cropped", [(7, 6, 5), (20, 9, 3), (4, 4, 4), (1, 6, 11)])
@pytest.mark.parametrize("slab_bytes", [1, 2000, 1 << 20])
def test_slabs_give_what_the_whole_gives(cropped: Shape, slab_bytes: int) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 7, 6, 5)).astype(np.float32)
    labels = labels_of_scores(scores, way((7, 6, 5), cropped), (0, 5, 300), slab_bytes=slab_bytes)
    expected = np.array([0, 5, 300])[resample(scores, cropped, "linear").argmax(0)]
    assert np.mean(labels == expected) > 0.99  # the order of the axes rounds differently
    assert labels.shape == cropped


def test_border_lies_where_the_scores_cross() -> None:
    # Scores of 4 voxels on 8: values at 0, .25, .75, 1.25 ... of the coarse index; they cross 0.5 between 1 and 2.
    scores = np.zeros((2, 4, 1, 1), np.float32)
    scores[1, :, 0, 0] = [-1, -1, 1, 1]
    labels = labels_of_scores(scores, way((4, 1, 1), (8, 1, 1)), (0, 9))
    assert labels[:, 0, 0].tolist() == [0, 0, 0, 0, 9, 9, 9, 9]


def test_background_outside_the_box() -> None:
    scores = np.stack([np.zeros((1, 2, 1)), np.ones((1, 2, 1))]).astype(np.float32)
    box = (slice(1, 2), slice(0, 2), slice(2, 3))
    labels = labels_of_scores(scores, way((1, 2, 1), (1, 2, 1), box, (3, 3, 3)), (0, 4))
    assert [tuple(index) for index in np.argwhere(labels == 4)] == [(1, 0, 2), (1, 1, 2)]


@pytest.mark.parametrize(
    ("values", "name"), [((0, 255), "uint8"), ((0, 256), "uint16"), ((0, -1), "int16"), ((0, 70000), "uint32")]
)
def test_smallest_type(values: tuple[int, ...], name: str) -> None:
    assert label_dtype(values).name == name


def test_regions_are_written_where_their_score_is_above_zero_later_ones_over_earlier_ones() -> None:
    scores = np.array([[1, 1, -1, -1], [-1, 9, 1, 0]], np.float32).reshape(2, 4, 1, 1)
    labels = labels_of_scores(scores, way((4, 1, 1), (4, 1, 1)), (2, 1), regions=True)
    assert labels.ravel().tolist() == [2, 1, 1, 0]


def test_scores_of_regions_are_resampled_before_they_are_cut_off() -> None:
    scores = np.array([-1, 3], np.float32).reshape(1, 2, 1, 1)
    # Resampled to -1, 0, 2, 3.
    assert labels_of_scores(scores, way((2, 1, 1), (4, 1, 1)), (5,), regions=True).ravel().tolist() == [0, 0, 5, 5]
