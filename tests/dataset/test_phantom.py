"""Tests of the phantom: its files, and that no threshold solves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.dataset.phantom import phantom_case, write_phantom
from segkit.dataset.phantom_anatomy import LABELS
from segkit.errors import UsageError
from segkit.io import read_labels, read_volume


@pytest.fixture(scope="module")
def cases() -> list[tuple[NDArray[np.int16], NDArray[np.uint8]]]:
    return [
        (image.array[0], labels.array[0])
        for image, labels in (phantom_case(number) for number in range(8))
    ]


def best_threshold_dice(image: NDArray[np.int16], mask: NDArray[np.bool_]) -> float:
    """Return the best Dice of all intensity intervals between any two of 100 quantiles."""
    edges = np.unique(np.quantile(image, np.linspace(0, 1, 100)))
    bins = np.searchsorted(edges, image, side="right")
    inside = np.cumsum(np.bincount(bins[mask], minlength=edges.size + 1))
    everywhere = np.cumsum(np.bincount(bins.ravel(), minlength=edges.size + 1))
    overlap = inside[None] - inside[:, None]
    size = everywhere[None] - everywhere[:, None] + mask.sum()
    return float((2 * overlap / np.maximum(size, 1)).max())


@pytest.mark.parametrize("label", LABELS)
def test_no_threshold_finds_an_organ(
    label: str, cases: list[tuple[NDArray[np.int16], NDArray[np.uint8]]]
) -> None:
    assert max(best_threshold_dice(image, labels == LABELS[label]) for image, labels in cases) < 0.5


def test_every_case_has_every_organ(
    cases: list[tuple[NDArray[np.int16], NDArray[np.uint8]]],
) -> None:
    assert all(np.bincount(labels.ravel())[1:].min() > 200 for _, labels in cases)


def test_left_kidney_is_on_the_left_in_world_coordinates() -> None:
    _, labels = phantom_case(3)
    middle = {
        name: np.argwhere(labels.array[0] == value).mean(axis=0) for name, value in LABELS.items()
    }
    left, right = (
        labels.affine[:3, :3] @ middle[name] + labels.affine[:3, 3]
        for name in ("kidney_left", "kidney_right")
    )
    assert left[0] + 15 < right[0]


def test_grids_differ_and_are_oblique() -> None:
    grids = [phantom_case(number)[0].grid for number in range(8)]
    assert len({np.round(grid.spacing, 3).tobytes() for grid in grids}) == 4
    assert all(np.count_nonzero(np.abs(grid.affine[:3, :3]) > 0.01) > 3 for grid in grids)
    assert {float(np.sign(np.linalg.det(grid.affine[:3, :3]))) for grid in grids} == {-1.0, 1.0}


def test_scanners_map_tissue_differently(
    cases: list[tuple[NDArray[np.int16], NDArray[np.uint8]]],
) -> None:
    (first, one), (second, two) = cases[:2]
    assert np.median(first[one == 1]) > 1.4 * np.median(second[two == 1])
    assert first.min() < 50 < second.min()


def test_same_seed_same_voxels_and_another_seed_others() -> None:
    first, again, other = (phantom_case(2, seed)[0].array for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_write_phantom_lays_out_a_decathlon_dataset(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "phantom", 2)
    description = json.loads((folder / "dataset.json").read_text())
    assert [pair["image"] for pair in description["training"]] == [
        "./imagesTr/phantom_A_001.nii.gz",
        "./imagesTr/phantom_B_002.nii.gz",
    ]
    assert description["labels"] == {
        "0": "background",
        "1": "liver",
        "2": "kidney_left",
        "3": "kidney_right",
        "4": "vessel",
    }
    image, labels = phantom_case(2)
    written = read_volume(folder / "imagesTs" / "phantom_A_003.nii.gz")
    np.testing.assert_array_equal(written.array, image.array)
    np.testing.assert_allclose(written.affine, image.affine, atol=1e-4)
    np.testing.assert_array_equal(
        read_labels(folder / "labelsTs" / "phantom_A_003.nii.gz").array, labels.array
    )


def test_only_a_phantom_is_written_over(tmp_path: Path) -> None:
    write_phantom(tmp_path / "mine", cases=1)
    write_phantom(tmp_path / "mine", cases=1)
    (tmp_path / "scans").mkdir()
    write_phantom(tmp_path / "scans", cases=1)
    (tmp_path / "scans" / "dataset.json").write_text('{"name": "real"}')
    (tmp_path / "file").touch()
    for name in ("scans", "file"):
        with pytest.raises(
            UsageError, match=f"{name} holds files that are not a phantom: give a new or an empty"
        ):
            write_phantom(tmp_path / name, cases=1)
