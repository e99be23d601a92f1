"""Label maps that do not fit their images, and incomplete labels, in a small phantom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy

from segkit.dataset_check.edge_fits import fit, reference_profile
from segkit.dataset_check.edge_profiles import FEWEST_FACES, EdgeProfile, edge_profile
from segkit.dataset_check.label_slices import label_slices
from segkit.dataset_check.overview import overview
from segkit.preprocessing.orient_and_crop import AxisMap

from .test_planted import Cases, Made, found, named

COUNT = 12
SIZE = (34, 30, 26)
AS_STORED = AxisMap((0, 1, 2), (False, False, False))
FINDINGS = (
    "shifted_edge",
    "mirrored_image",
    "exchanged_label_maps",
    "empty_slices",
    "cut_label",
    "small_label",
    "absent_label",
    "saturated_image",
)


def phantom(count: int = COUNT) -> Cases:
    """An organ off the middle, with a brighter structure on its right, in front and on top."""
    random = np.random.default_rng(5)
    places = np.indices(SIZE).transpose(1, 2, 3, 0)
    cases = {}
    for number in range(count):
        center = np.array([13, 12, 11]) + random.uniform(-2, 2, 3)
        radii = np.array([8, 7, 6]) * random.uniform(0.95, 1.05, 3)
        organ = (((places - center) / radii) ** 2).sum(axis=-1) < 1
        beside = (places > center + radii + 1).any(axis=-1)
        image = random.normal(100, 8, SIZE) + 50 * organ + 120 * beside
        made = Made(image.astype(np.float32), (3 * organ).astype(np.uint8))
        made.patient, made.split = f"P{number}", str(number % 5)
        cases[f"c{number:02}"] = made
    return cases


def dilated(made: Made) -> None:
    made.labels = (3 * scipy.ndimage.binary_dilation(made.labels > 0)).astype(np.uint8)


def eroded(made: Made) -> None:
    made.labels = (3 * scipy.ndimage.binary_erosion(made.labels > 0)).astype(np.uint8)


def mirrored(axis: int) -> Callable[[Made], None]:
    def mirror(made: Made) -> None:
        made.image = np.flip(made.image, axis).copy()

    return mirror


def upper_half_missing(made: Made) -> None:
    made.labels[:, :, 11:] = 0


def almost_missing(made: Made) -> None:
    """A small ellipsoid is left, which ends nowhere flat."""
    places = np.indices(SIZE).transpose(1, 2, 3, 0)
    middle = places[made.labels > 0].mean(axis=0)
    far = ((places - middle) ** 2 / np.array([16, 12, 12])).sum(axis=-1) > 1
    made.labels[far] = 0


def every_second_slice(made: Made) -> None:
    made.labels[:, :, ::2] = 0


def saturated(made: Made) -> None:
    made.image = np.clip(made.image, 0, np.percentile(made.image, 90)).astype(np.float32)


FAULTS: dict[str, tuple[Callable[[Made], None], str]] = {
    "dilated": (dilated, "shifted_edge"),
    "eroded": (eroded, "shifted_edge"),
    "image mirrored along x": (mirrored(0), "mirrored_image"),
    "image mirrored along y": (mirrored(1), "mirrored_image"),
    "image mirrored along z": (mirrored(2), "mirrored_image"),
    "half missing": (upper_half_missing, "cut_label"),
    "almost missing": (almost_missing, "small_label"),
    "every second slice empty": (every_second_slice, "empty_slices"),
    "saturated": (saturated, "saturated_image"),
}


def warnings_of(folder: Path, cases: Cases) -> dict[str, set[str]]:
    """Return the cases that each of FINDINGS names."""
    problems = found(folder, cases)
    return {name: names for name in FINDINGS if (names := named(problems, name))}


def test_a_sound_phantom(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, phantom()) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_case(fault: str, tmp_path: Path) -> None:
    plant, check_name = FAULTS[fault]
    cases = phantom()
    plant(cases["c04"])
    assert warnings_of(tmp_path, cases) == {check_name: {"c04"}}


def test_where_a_label_is_cut_off(tmp_path: Path) -> None:
    cases = phantom()
    upper_half_missing(cases["c04"])
    (problem,) = [each for each in found(tmp_path, cases) if each.check == "cut_label"]
    assert problem.message.startswith(
        "a flat end inside the scan, unlike in the other cases: spine"
    )
    assert "(top; " in problem.message
    assert problem.file == "c04_l.nii"


def test_exchanged_label_maps(tmp_path: Path) -> None:
    cases = phantom()
    one, other = cases["c02"], cases["c04"]
    one.labels, other.labels = other.labels, one.labels
    (problem,) = [each for each in found(tmp_path, cases) if each.check == "exchanged_label_maps"]
    assert problem.cases == ("c02", "c04")
    assert problem.message.startswith("c02, c04 have the same shape")


def test_a_label_that_almost_all_cases_have(tmp_path: Path) -> None:
    cases = phantom(20)
    for number, made in enumerate(cases.values()):
        made.labels[25:28, 22:25, 2:8] = 0 if number == 4 else 2
    assert warnings_of(tmp_path, cases) == {"absent_label": {"c04"}}


def test_another_contrast_is_no_fault_of_the_label_map(tmp_path: Path) -> None:
    """A few cases of another sequence, in which the organ is dark, agree with nothing."""
    cases = phantom()
    for name in ("c04", "c07"):
        cases[name].image = 400 - cases[name].image
    assert warnings_of(tmp_path, cases) == {}


def test_lesions_that_are_brighter_or_darker_have_no_usual_edge(tmp_path: Path) -> None:
    """By chance, many of them fit better with the image mirrored or with another label map."""
    cases = phantom(30)
    random = np.random.default_rng(1)
    places = np.indices(SIZE).transpose(1, 2, 3, 0)
    for number, made in enumerate(cases.values()):
        center, radii = random.uniform(9, 17, 3), random.uniform(5, 8, 3)
        lesion = (((places - center) / radii) ** 2).sum(axis=-1) < 1
        texture = scipy.ndimage.gaussian_filter(random.normal(0, 60, SIZE), 1.5)
        made.image = (200 + texture + (-1) ** number * 15 * lesion).astype(np.float32)
        made.labels = (3 * lesion).astype(np.uint8)
    assert warnings_of(tmp_path, cases) == {}


def test_few_cases_have_no_usual_edge(tmp_path: Path) -> None:
    cases = phantom(9)
    mirrored(0)(cases["c04"])
    assert warnings_of(tmp_path, cases) == {}


def step(extra: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image that is 10 in a cube of 8 voxels, and a label that is larger on each side."""
    image = np.zeros((1, 20, 20, 20))
    image[:, 6:14, 6:14, 6:14] = 10
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[(slice(6 - extra, 14 + extra),) * 3] = 1
    return image, labels


def profile(image: np.ndarray, labels: np.ndarray) -> EdgeProfile:
    (box,) = scipy.ndimage.find_objects(labels)
    return edge_profile(image, labels, [1], box, 1)


def test_the_profile_of_a_step() -> None:
    own = profile(*step())
    assert own.faces.tolist() == [64.0] * 6
    assert np.allclose(own.values, [[1, 1, 1, 1, -1, -1, -1, -1]] * 6)  # mean 0, deviation 1


def test_the_displacement_of_a_step() -> None:
    usual = reference_profile([profile(*step())])
    assert fit(profile(*step()), usual).shift == 0
    larger = fit(profile(*step(1)), usual)
    assert larger.shift == 1
    assert larger.best > larger.as_is


def test_voxels_that_are_not_annotated_are_no_edge() -> None:
    image, labels = step()
    labels[14:] = 2  # one above the number of labels
    assert profile(image, np.where(labels == 2, 0, labels).astype(np.uint8)).faces[0] == 64
    boxes = scipy.ndimage.find_objects(labels)
    assert edge_profile(image, labels, [1], boxes[0], 1).faces[0] == 0


def test_directions_with_few_faces_have_no_profile() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 10, 10] = 1
    own = profile(np.ones((1, 20, 20, 20)), labels)
    assert own.faces.tolist() == [1, 1, 10, 10, 10, 10]
    assert FEWEST_FACES == 5
    assert np.isnan(own.values[:2]).all()
    assert (own.values[2:] == 0).all()  # an image without any contrast


def test_slices_of_a_block() -> None:
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[2:8, 3:7, 0:5] = 1
    labels[4:6, 3:7, 4] = 0
    labels[8, 3:5, 0:5] = 2
    slices = label_slices(labels, [1], (slice(2, 8), slice(3, 7), slice(0, 5)), AS_STORED)
    # In front of X, half of the face is another label; below Z, the scan ends.
    assert np.allclose(slices.ends, [0.5, 1, 1, 1, 16 / 24, np.nan], equal_nan=True)
    assert slices.gaps == ()


def test_gaps_are_where_the_file_has_them() -> None:
    labels = np.zeros((4, 4, 10), np.uint8)
    labels[1:3, 1:3, 1:8] = 1
    labels[:, :, [2, 4]] = 0
    flipped = AxisMap((2, 1, 0), (False, False, True))  # Z is the reversed first axis of the file
    (gaps,) = label_slices(labels, [1], (slice(1, 3), slice(1, 3), slice(1, 8)), flipped).gaps
    assert (gaps.axis, gaps.empty, gaps.extent, gaps.where) == (2, 2, 7, "x 5, 7")


def test_two_structures_beside_each_other_are_no_gap() -> None:
    labels = np.zeros((12, 8, 8), np.uint8)
    labels[1:4, 1:4, 1:4] = labels[7:10, 5:8, 5:8] = 1
    box = (slice(1, 10), slice(1, 8), slice(1, 8))
    assert label_slices(labels, [1], box, AS_STORED).gaps == ()


@pytest.mark.parametrize("between", [2, 3])
def test_slices_of_another_label_or_without_annotation_are_no_gap(between: int) -> None:
    labels = np.zeros((4, 4, 10), np.uint8)
    labels[1:3, 1:3, 1:8] = 1
    labels[:, :, [2, 4]] = between  # label 2, or one above the number of labels
    box = (slice(1, 3), slice(1, 3), slice(1, 8))
    assert label_slices(labels, [1], box, AS_STORED).gaps == ()


def test_a_label_of_two_small_pieces_one_above_the_other_has_no_gap() -> None:
    labels = np.zeros((8, 8, 12), np.uint8)
    labels[1:3, 1:3, 1:4] = labels[1:5, 1:5, 7:10] = 1
    box = (slice(1, 5), slice(1, 5), slice(1, 10))
    assert label_slices(labels, [1], box, AS_STORED).gaps == ()


def test_an_overview_keeps_the_label_and_the_middle() -> None:
    labels = np.zeros((100, 60, 40), np.uint8)
    labels[40:60, 20:40, 10:30] = 44
    small = overview(np.random.default_rng(0).normal(size=(1, 100, 60, 40)), labels)
    assert small.shape == (100, 60, 40)
    assert small.image.shape == (50, 30, 40)
    assert small.image.size <= 1 << 16
    assert set(np.unique(small.indices)) == {0, 44}
