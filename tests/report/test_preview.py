from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.io.scaled import ScaledArray
from segkit.report.image_rows import LEGEND_ENTRIES
from segkit.report.outlines import TINT
from segkit.report.preview import draw_comparison, draw_two, write_preview
from segkit.volume import Volume

FIRST, SECOND = (86, 180, 233), (230, 159, 0)
"""Colors of the first two labels."""


def drawn(
    path: Path, scan: Volume, labels: NDArray[np.integer], names: dict[str, int]
) -> NDArray[np.uint8]:
    write_preview(path / "preview.png", scan, scan.with_array(labels[None]), names)
    with Image.open(path / "preview.png") as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def center(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> tuple[float, float]:
    """Return row and column of the center of all pixels of a color, without the legend."""
    rows, columns = np.nonzero((picture[:-40] == color).all(axis=2))
    return float(rows.mean()), float(columns.mean())


def test_right_is_left_and_anterior_is_up_in_any_orientation(tmp_path: Path) -> None:
    labels = np.zeros((20, 20, 1), np.uint8)
    labels[14:18, 14:18] = 1  # right and anterior where the affine is the identity
    for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)):
        steps = tuple(slice(None, None, sign) for sign in signs)
        scan = Volume(np.random.default_rng(0).normal(size=(1, 20, 20, 1)), np.diag([*signs, 1.0]))
        row, column = center(drawn(tmp_path, scan, labels[steps], {"a": 1}), FIRST)
        assert row < 120 + 12
        assert column < 120 + 12


def test_three_planes_with_one_scale(tmp_path: Path) -> None:
    scan = Volume(np.zeros((1, 10, 20, 4)), np.diag([2.0, 2.0, 5.0, 1.0]))
    picture = drawn(tmp_path, scan, np.zeros((10, 20, 4), np.uint8), {"a": 1})
    # 20 x 40 x 20 mm at 10 pixels a mm: axial 200 x 400, coronal 200 x 200, sagittal 400 x 200, and
    # 4 margins of 12.
    assert picture.shape == (400 + 24 + 12, 200 + 200 + 400 + 48, 3)


def lesion_and_organ() -> tuple[Volume, NDArray[np.uint8]]:
    """Return a scan with slices of 5 mm from the top down: organ on 2 to 9, lesion on 3 and 4."""
    labels = np.zeros((20, 20, 12), np.uint8)
    labels[2:18, 2:18, 6:9] = 1
    labels[4:16, 4:16, 2:6] = 1
    labels[6:8, 6:8, 3:5] = 2
    labels[10, 10, 9] = 1
    return Volume(np.zeros((1, 20, 20, 12)), np.diag([1.0, 1.0, -5.0, 1.0])), labels


def test_a_sheet_of_slices_below_the_planes(tmp_path: Path) -> None:
    scan, labels = lesion_and_organ()
    picture = drawn(tmp_path, scan, labels, {"organ": 1, "lesion": 2})
    # 20 x 20 x 60 mm: planes of 133 x 133, 133 x 400 and 133 x 400; slices of 63 x 63, 5 in a row
    # of 448, so 8 in two.
    assert picture.shape == (12 + 400 + 12 + 2 * (63 + 12) + 20 + 12, 3 * 133 + 48, 3)
    rows = [picture[424:487], picture[499:562]]
    # The file counts from the top down, so its slices 9, 8, 7, 6, 5 come first; the lesion is on 4
    # and 3, not on 2.
    tiles = [row[:, 12 + 75 * column :][:, :63] for row in rows for column in range(5)][:8]
    assert [bool((tile == FIRST).all(axis=2).any()) for tile in tiles] == [True] * 8
    assert [bool((tile == SECOND).all(axis=2).any()) for tile in tiles] == [False] * 5 + [
        True,
        True,
        False,
    ]


def test_a_lesion_decides_as_much_as_the_organ_around_it(tmp_path: Path) -> None:
    scan, labels = lesion_and_organ()
    axial = drawn(tmp_path, scan, labels, {"organ": 1, "lesion": 2})[12:145, 12:145]
    # 144 of 256 voxels of the organ and all 4 of the lesion are more than all of the organ and none
    # of the lesion.
    assert (axial == SECOND).all(axis=2).any()


def test_slices_go_across_the_axis_on_which_they_are_thickest(tmp_path: Path) -> None:
    scan = Volume(
        np.zeros((1, 6, 40, 40)), np.diag([8.0, 1.0, 1.0, 1.0])
    )  # as sagittal slices are taken
    labels = np.zeros((6, 40, 40), np.uint8)
    labels[2:5, 10:30, 10:20] = 1
    picture = drawn(tmp_path, scan, labels, {"a": 1})
    # 48 x 40 x 40 mm: three slices of 158 x 158 in one row.
    assert picture.shape[0] == 12 + 333 + 12 + 158 + 12 + 20 + 12


def test_picture_keeps_its_rows_and_colors(tmp_path: Path) -> None:
    array = np.zeros((3, 40, 20, 1), np.uint8)
    array[2] = 200
    labels = np.zeros((40, 20, 1), np.uint8)
    labels[30:, :5], labels[:5, 15:] = 255, 7  # upper right, lower left
    picture = drawn(tmp_path, Volume(array, np.eye(4), "px"), labels, {"a": 255, "b": 7})
    assert picture[12 + 200, 12 + 400].tolist() == [0, 0, 200]
    assert center(picture, FIRST)[0] < 200 < center(picture, SECOND)[0]
    assert center(picture, FIRST)[1] > 400 > center(picture, SECOND)[1]


def test_gray_picture_of_sixteen_bits(tmp_path: Path) -> None:
    array = np.linspace(0, 60000, 400).astype(np.uint16).reshape(1, 20, 20, 1)
    picture = drawn(tmp_path, Volume(array, np.eye(4), "px"), np.zeros((20, 20, 1), np.uint8), {})
    assert (picture[..., 0] == picture[..., 1]).all()
    assert picture[12:-12].min() < 20
    assert picture.max() > 240


def test_air_does_not_take_the_window_of_a_ct(tmp_path: Path) -> None:
    array = np.full((1, 20, 20, 2), -1000.0)
    array[0, 5:15, 5:15] = 40
    array[0, 0, 0] = -990  # no constant border
    picture = drawn(tmp_path, Volume(array, np.eye(4)), np.zeros((20, 20, 2), np.uint8), {})
    assert picture[12 + 210, 12 + 210].tolist() == [127, 127, 127]


def test_more_labels_than_the_legend_holds(tmp_path: Path) -> None:
    count = LEGEND_ENTRIES + 5
    labels = np.arange(count, dtype=np.uint8).reshape(count, 1, 1) + 1
    names = {f"organ number {index}": index + 1 for index in range(count)}
    scan = Volume(np.zeros((1, count, 1, 1)), np.eye(4))
    few = drawn(tmp_path, scan, np.minimum(labels, 2), names)
    assert drawn(tmp_path, scan, labels, names).shape[0] > few.shape[0]


def test_a_comparison_outlines_the_prediction_and_fills_the_reference() -> None:
    scan = Volume(np.zeros((1, 20, 20, 1)), np.eye(4))
    predicted, reference = np.zeros((1, 20, 20, 1), np.uint8), np.zeros((1, 20, 20, 1), np.uint8)
    predicted[0, 12:18, 12:18], reference[0, 2:8, 2:8] = (
        1,
        1,
    )  # right and anterior; left and posterior
    image = draw_comparison(scan, scan.with_array(predicted), scan.with_array(reference), {"a": 1})
    picture = np.asarray(image)
    assert picture.shape[:2] == (400 + 24 + 20 + 12, 400 + 24)
    assert tuple(picture[12 + 100, 12 + 100]) == (0, 0, 0)  # inside the outline
    assert center(picture, FIRST)[0] < 200
    assert tuple(picture[12 + 300, 12 + 300]) == tuple(int(TINT * part) for part in FIRST)


def test_a_comparison_shows_the_planes_that_differ_most() -> None:
    scan = Volume(np.zeros((1, 10, 10, 10)), np.eye(4))
    reference = np.zeros((1, 10, 10, 10), np.uint8)
    reference[0, 2:8, 2:8, 2] = 1  # the fullest plane, which is found
    predicted = reference.copy()
    predicted[0, 4, 4, 8] = 2  # invented
    volumes = scan.with_array(predicted), scan.with_array(reference)
    picture = np.asarray(draw_comparison(scan, *volumes, {"a": 1, "b": 2}, across=2))
    assert (picture[:-32] == SECOND).all(axis=2).any()
    assert picture.shape[1] == 400 + 24  # one plane
    assert draw_comparison(scan, *volumes, {"a": 1, "b": 2}).width == 3 * 400 + 48


def test_two_predictions_stand_beside_each_other_in_the_planes_in_which_they_differ() -> None:
    scan = Volume(np.zeros((1, 10, 10, 10)), np.eye(4))
    reference = np.zeros((1, 10, 10, 10), np.uint8)
    reference[0, 2:8, 2:8, 2] = 1  # the fullest plane, in which both are equal
    second = reference.copy()
    second[0, 4, 4, 8] = 2
    both = {"A": scan.with_array(reference), "B": scan.with_array(second)}
    image = draw_two(scan, both, scan.with_array(reference), {"a": 1, "b": 2})
    assert image.width == 2 * 400 + 3 * 12
    picture = np.asarray(image)[:-32]
    assert not (picture[:, :412] == SECOND).all(axis=2).any()
    assert (picture[:, 424:] == SECOND).all(axis=2).any()


def test_two_masks_of_a_picture() -> None:
    picture = Volume(np.zeros((3, 20, 20, 1), np.uint8), np.eye(4), "px")
    mask = np.zeros((1, 20, 20, 1), np.uint8)
    mask[0, 5:15, 5:15] = 1
    both = {"A": picture.with_array(mask), "B": picture.with_array(0 * mask)}
    image = draw_two(picture, both, picture.with_array(mask), {"a": 1})
    assert image.size == (2 * 800 + 3 * 12, 800 + 2 * 12 + 20 + 12)


def test_numbers_that_are_scaled_look_the_same(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 1000, (1, 20, 18, 16)).astype(np.int16)
    labels = (stored[0] > 900).astype(np.uint8)
    scaled: Any = ScaledArray(stored, 0.25, -20)
    expected = drawn(
        tmp_path, Volume(np.asarray(scaled), np.diag([1, -1, 2, 1.0])), labels, {"a": 1}
    )
    found = drawn(tmp_path, Volume(scaled, np.diag([1, -1, 2, 1.0])), labels, {"a": 1})
    assert np.array_equal(found, expected)


def test_a_preview_looks_at_blocks(tmp_path: Path, peak_of: Callable[[str, str], int]) -> None:
    prepare = """
import numpy as np
from segkit.report.preview import write_preview
from segkit.volume import Volume
scan = Volume(np.zeros((1, 512, 512, 200), np.int16), np.eye(4))
scan.array[0, 100:400, 100:400, 50:150] = 100
labels = Volume((scan.array > 50).astype(np.uint8), np.eye(4))
"""
    # The map has 52 MB.
    assert (
        peak_of(prepare, f"write_preview({str(tmp_path / 'a.png')!r}, scan, labels, {{'a': 1}})")
        < 45e6
    )
