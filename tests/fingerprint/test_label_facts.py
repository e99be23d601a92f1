from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.label_facts import border_share, label_facts

DATA = Dataset("d", Path("d"), ("MR",), {"a": 1, "b": 2}, ())


def test_pieces_and_thickness() -> None:
    indices = np.zeros((10, 10, 10), np.uint8)
    indices[1:5, 1, 1] = 1
    indices[8, 8, 8] = 1
    indices[1:3, 5:8, 5] = 2
    facts = label_facts(indices, (1.0, 2.0, 3.0), DATA)
    assert (facts["a"].pieces, facts["b"].pieces) == (2, 1)
    assert facts["a"].thickness == (2.5, 2.0, 3.0)
    assert facts["b"].thickness == (2.0, 6.0, 3.0)
    assert facts["a"].centroid == pytest.approx(
        ((1 + 2 + 3 + 4 + 8) / 5, (4 * 1 + 8) / 5 * 2, (4 * 1 + 8) / 5 * 3)
    )


def test_pieces_of_a_region() -> None:
    data = Dataset(
        "d",
        Path("d"),
        ("MR",),
        {"whole": 1, "core": 2},
        (),
        regions={"whole": (1, 2), "core": (2,)},
    )
    facts = label_facts(np.array([1, 2, 1, 0, 2], np.uint8).reshape(5, 1, 1), (1.0, 1.0, 1.0), data)
    assert (facts["whole"].pieces, facts["core"].pieces) == (2, 2)


def test_the_share_of_the_border_that_is_labeled() -> None:
    indices = np.ones((4, 4, 1), np.uint8)
    assert border_share(indices) == 1
    indices[0] = 0
    assert border_share(indices) == (4 + 3 + 3) / 16
