from __future__ import annotations

import numpy as np
import pytest

from segkit.labels.plane_counts import plane_counts

VALUES = np.array([0, 2, 7, 300])


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("step", [1, -1])
def test_counts_are_those_of_each_plane_in_any_order_of_memory(
    axes: tuple[int, int, int], step: int
) -> None:
    labels = np.random.default_rng(0).choice(VALUES, (3, 4, 5)).astype(np.uint16)
    labels[1] = 0  # a plane without labels
    moved = labels.transpose(axes)[:, ::step]
    for axis, counts in enumerate(plane_counts(moved, VALUES)):
        planes = np.moveaxis(moved, axis, 0)
        expected = [[int((plane == value).sum()) for value in VALUES[1:]] for plane in planes]
        assert counts[:, 1:].tolist() == expected
        assert not counts[:, 0].any()


def test_without_labels_all_counts_are_0() -> None:
    assert [counts.shape for counts in plane_counts(np.zeros((2, 3, 4)), VALUES)] == [
        (2, 4),
        (3, 4),
        (4, 4),
    ]
