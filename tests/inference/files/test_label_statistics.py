from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segkit.errors import InputError
from segkit.inference.files.label_statistics import label_figures
from segkit.io.scaled import ScaledArray
from segkit.volume import Volume

TILT = np.array([[1, 0, 0, 10], [0, 0.8, -0.6, 20], [0, 0.6, 0.8, 30], [0, 0, 0, 1.0]]) @ np.diag(
    [-2.0, 5, 10, 1]
)
"""Affine: X is (-2, 0, 0) mm, Y (0, 4, 3) mm, Z (0, -6, 8) mm; the first voxel at 10, 20, 30."""


def box(shape: tuple[int, int, int] = (8, 9, 10), value: int = 3) -> np.ndarray:
    """Two voxels along X, one along Y, three along Z, not at the border."""
    array = np.zeros(shape, np.uint8)
    array[2:4, 5, 6:9] = value
    return array


def test_a_box_in_an_oblique_grid() -> None:
    found = label_figures(Volume(box()[None], TILT), {"organ": 3})["organ"]
    assert found["value"] == 3
    assert found["voxels"] == 6
    assert found["volume_ml"] == 0.6  # 6 x 100 mm3
    assert found["bounding_box"]["first"] == [2, 5, 6]
    assert found["bounding_box"]["last"] == [3, 5, 8]
    # Voxel 2.5, 5, 7: 10 - 5, 20 + 5 x 4 - 7 x 6, 30 + 5 x 3 + 7 x 8.
    assert found["centroid_mm"] == [5.0, -2.0, 101.0]
    corners = found["bounding_box"]["corners_mm"]
    assert len(corners) == 8
    # Voxel edges 1.5, 4.5, 5.5 and 3.5, 5.5, 8.5.
    assert corners[0] == [7.0, 5.0, 87.5]
    assert corners[-1] == [3.0, -9.0, 114.5]
    assert found["touches_border"] == []
    assert (found["pieces"], found["largest_piece_ml"]) == (1, 0.6)


def test_the_volume_of_a_sheared_grid_is_its_determinant() -> None:
    shear = np.array([[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1.0]])
    # The edges are 2, sqrt 5 and 5 mm, the volume is 20 mm3.
    assert label_figures(Volume(box()[None], shear), {"organ": 3})["organ"]["volume_ml"] == 0.12


def test_faces_of_the_scan_by_voxel_axis() -> None:
    array = np.zeros((4, 4, 4), np.uint8)
    array[0, 1:3, 1:3], array[1:3, 3, 0] = 1, 2
    found = label_figures(Volume(array[None], TILT), {"a": 1, "b": 2})
    assert found["a"]["touches_border"] == ["first x"]
    assert found["b"]["touches_border"] == ["last y", "first z"]


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    array = np.zeros((9, 9, 9), np.uint8)
    array[0, 0, 0] = array[1, 1, 1] = array[1, 1, 2] = 1
    array[5, 5, 5] = 1
    array[5, 5, 6] = 2  # another label does not join them
    array[5, 5, 7] = 1
    found = label_figures(Volume(array[None], np.diag([10.0, 10, 10, 1])), {"a": 1})["a"]
    assert (found["voxels"], found["pieces"], found["largest_piece_ml"]) == (5, 3, 3.0)


def test_intensities_per_channel() -> None:
    labels = np.zeros((4, 1, 1), np.uint16)
    labels[:2], labels[2] = 300, 7
    channels = {
        "CT": np.array([10, 30, 5, 99], np.int16).reshape(4, 1, 1),
        "PET": np.full((4, 1, 1), 0.5),
    }
    found = label_figures(Volume(labels[None], np.eye(4)), {"a": 300, "b": 7}, channels=channels)
    assert found["a"]["intensity"] == {
        "CT": {"mean": 20.0, "std": 10.0},
        "PET": {"mean": 0.5, "std": 0.0},
    }
    assert found["b"]["intensity"]["CT"] == {"mean": 5.0, "std": 0.0}


def test_a_label_that_is_not_there() -> None:
    zeros = np.zeros((1, 4, 4, 4), np.uint8)
    found = label_figures(
        Volume(zeros, np.eye(4)), {"a": 1}, channels={"CT": zeros[0]}, uncertainty=zeros[0]
    )
    assert found == {
        "a": {
            "value": 1,
            "voxels": 0,
            "volume_ml": 0.0,
            "bounding_box": None,
            "centroid_mm": None,
            "touches_border": [],
            "pieces": 0,
            "largest_piece_ml": 0.0,
            "intensity": {"CT": {"mean": None, "std": None}},
            "certainty": None,
        }
    }


def test_a_picture_has_pixels() -> None:
    array = np.zeros((6, 5, 1), np.uint8)
    array[1:3, 4, 0] = 255
    found = label_figures(Volume(array[None], np.eye(4), "px"), {"vessel": 255})["vessel"]
    assert found == {
        "value": 255,
        "voxels": 2,
        "volume_px": 2.0,
        "bounding_box": {
            "first": [1, 4],
            "last": [2, 4],
            "corners_px": [[0.5, 3.5], [0.5, 4.5], [2.5, 3.5], [2.5, 4.5]],
        },
        "centroid_px": [1.5, 4.0],
        "touches_border": ["last y"],
        "pieces": 1,
        "largest_piece_px": 2.0,
    }


def test_a_region_has_the_voxels_of_all_its_values() -> None:
    array = np.zeros((5, 1, 1), np.uint8)
    array[:4, 0, 0] = [1, 1, 2, 2]
    scan = np.array([0, 2, 10, 12, 99.0]).reshape(5, 1, 1)
    found = label_figures(
        Volume(array[None], np.diag([10.0, 10, 10, 1])),
        {"whole": 1, "core": 2},
        {"whole": (1, 2), "core": (2,)},
        channels={"T1": scan},
        uncertainty=np.array([0, 0.2, 0.4, 0.6, 1]).reshape(5, 1, 1),
    )
    assert (found["whole"]["volume_ml"], found["core"]["volume_ml"]) == (4.0, 2.0)
    assert found["whole"]["bounding_box"]["last"] == [3, 0, 0]
    assert (found["whole"]["pieces"], found["core"]["pieces"]) == (1, 1)
    # 0, 2, 10, 12 about 6: squares 36 + 16 + 16 + 36 are 104, a quarter of it 26.
    assert found["whole"]["intensity"]["T1"] == {"mean": 6.0, "std": pytest.approx(26**0.5)}
    assert (found["whole"]["certainty"], found["core"]["certainty"]) == (0.7, 0.5)


@pytest.mark.parametrize(
    ("bad", "said"), [(np.nan, "mean nan"), (np.inf, "mean inf"), (1e200, "standard deviation nan")]
)
def test_a_figure_that_cannot_be_computed_is_an_error(bad: float, said: str) -> None:
    labels, scan = np.ones((1, 3, 1, 1), np.uint8), np.array([1, bad, 2]).reshape(3, 1, 1)
    with pytest.raises(
        InputError, match=rf"a.nii, organ: expected intensities of channel CT .* found .*{said}"
    ):
        label_figures(Volume(labels, np.eye(4)), {"organ": 1}, channels={"CT": scan}, where="a.nii")


SHAPES = st.tuples(*[st.integers(1, 7)] * 3)


@settings(deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 99), block=st.sampled_from([1, 20, 1 << 20]))
def test_as_plain_numpy_has_it(shape: tuple[int, int, int], seed: int, block: int) -> None:
    random = np.random.default_rng(seed)
    array = random.integers(0, 4, shape).astype(np.uint8)
    scan = random.normal(1e6, 1, shape).astype(
        np.float32
    )  # sums of squares in float32 would have no digit left
    affine = np.eye(4)
    affine[:3] = random.normal(size=(3, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segkit.quality.measured_labels.BLOCK_VOXELS", block)
        names = {"a": 1, "b": 2, "c": 3}
        found = label_figures(Volume(array[None], affine), names, channels={"T1": scan})
    for name, value in names.items():
        mask = array == value
        figures = found[name]
        assert figures["voxels"] == mask.sum()
        if not mask.any():
            continue
        indices = np.argwhere(mask)
        np.testing.assert_allclose(
            figures["centroid_mm"], (indices @ affine[:3, :3].T + affine[:3, 3]).mean(0), atol=2e-6
        )
        first, last = indices.min(axis=0), indices.max(axis=0)
        assert figures["bounding_box"]["first"] == first.tolist()
        assert figures["bounding_box"]["last"] == last.tolist()
        ends = itertools.product(*zip(first - 0.5, last + 0.5, strict=True))
        corners = np.array(list(ends)) @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(figures["bounding_box"]["corners_mm"], corners, atol=2e-6)
        pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
        assert figures["pieces"] == count
        voxel = abs(np.linalg.det(affine[:3, :3])) / 1000
        assert figures["largest_piece_ml"] == pytest.approx(
            np.bincount(pieces[mask]).max() * voxel, abs=1e-6
        )
        assert figures["intensity"]["T1"]["mean"] == pytest.approx(
            scan[mask].mean(dtype=np.float64), abs=1e-6
        )
        assert figures["intensity"]["T1"]["std"] == pytest.approx(
            scan[mask].std(dtype=np.float64), abs=1e-6
        )


def test_a_large_scan_is_not_copied() -> None:
    labels = np.zeros((1, 200, 256, 256), np.uint8)
    labels[0, 50:60, 50:150, 50:150] = 1
    scan = np.zeros((200, 256, 256), np.int16)
    tracemalloc.start()
    label_figures(Volume(labels, np.eye(4)), {"a": 1}, channels={"CT": scan})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < labels.nbytes  # 13 MB; one float64 copy of the scan is 105 MB


def test_intensities_of_numbers_that_are_scaled() -> None:
    labels = Volume(np.ones((1, 2, 1, 1), np.uint8), np.eye(4))
    scaled: Any = ScaledArray(np.array([2, 6], np.int16).reshape(2, 1, 1), 0.5, 10)
    # 11 and 13.
    intensity = label_figures(labels, {"a": 1}, channels={"CT": scaled})["a"]["intensity"]
    assert intensity == {"CT": {"mean": 12.0, "std": 1.0}}


def test_figures_look_at_blocks(peak_of: Callable[[str, str], int]) -> None:
    prepare = """
import numpy as np
from segkit.inference.files.label_statistics import label_figures
from segkit.volume import Volume
labels = Volume(np.zeros((1, 512, 512, 200), np.uint8), np.eye(4))
labels.array[0, 1:, 1:, 1:] = 1
scan = np.zeros((200, 512, 512), np.int16).T
"""
    # The pieces of the whole at once would be 262 MB.
    assert peak_of(prepare, "label_figures(labels, {'a': 1}, channels={'CT': scan})") < 100e6


@pytest.mark.parametrize(
    ("edge", "voxels", "volume"), [(0.02, 4, 5.12e-7), (0.01, 7, 3.43e-7), (0.001, 10, 1e-9)]
)
def test_volumes_of_small_voxels(edge: float, voxels: int, volume: float) -> None:
    cube = Volume(np.ones((1, voxels, voxels, voxels), np.uint8), np.diag([edge, edge, edge, 1]))
    figures = label_figures(cube, {"cell": 1})["cell"]
    assert (figures["volume_ml"], figures["largest_piece_ml"]) == (volume, volume)
