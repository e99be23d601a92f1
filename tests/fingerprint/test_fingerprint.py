from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.fingerprint.case_facts import case_warnings, measure_case
from segkit.fingerprint.fingerprint import measure
from segkit.planning.planner import make_plan

Write = Callable[..., Case]


def dataset(*cases: Case, **changes: Any) -> Dataset:
    return replace(Dataset("d", Path("data"), ("MR",), {"a": 1, "b": 2}, cases), **changes)


@pytest.fixture
def image() -> np.ndarray:
    array = np.zeros((4, 5, 6))
    array[1:3, 1:4, 1:5] = 100
    return array


@pytest.fixture
def labels() -> np.ndarray:
    array = np.zeros((4, 5, 6))
    array[1:3, 1, 1] = 1
    array[1, 1:3, 2] = 2
    return array


def test_geometry_is_measured_in_ras(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    # The first voxel axis points backwards with 2 mm, the second to the right with 3 mm.
    affine = np.array([[0, 3, 0, 0], [-2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    facts = measure_case(write_case("c", image, labels, affine=affine), dataset()).facts
    assert facts.shape == (5, 4, 6)
    assert facts.spacing == (3, 2, 1)
    assert facts.cropped == (3, 2, 4)
    a = facts.labels["a"]
    assert (a.voxels, a.volume) == (2, 12)
    assert a.centroid == (3, 3, 1)
    assert a.deviation == (0, 1, 0)
    assert facts.labels["b"].centroid == (4.5, 4, 2)


def test_intensities_inside_the_labels(write_case: Write, labels: np.ndarray) -> None:
    first = write_case("c1", np.where(labels > 0, 10, 0), labels)
    second = write_case("c2", np.where(labels > 0, 30, 0), labels)
    (measured,) = measure(dataset(first, second)).intensities
    assert (measured.minimum, measured.mean, measured.maximum, measured.std) == (10, 20, 30, 10)


def test_measuring_twice_gives_the_same_and_is_json(write_case: Write, labels: np.ndarray) -> None:
    noisy = write_case("c", np.random.default_rng(0).normal(size=labels.shape), labels)
    first, second = (measure(dataset(noisy, noisy)) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(asdict(first)))["unit"] == "mm"


def test_progress_comes_in_order(write_case: Write, image: np.ndarray, labels: np.ndarray) -> None:
    seen: list[tuple[int, int, str]] = []
    cases = [write_case(name, image, labels) for name in ("c1", "c2", "c3")]
    measure(dataset(*cases), lambda *step: seen.append(step))
    assert seen == [(1, 3, "c1"), (2, 3, "c2"), (3, 3, "c3")]


def test_a_constant_scan_and_a_case_without_foreground_are_a_warning(
    write_case: Write, image: np.ndarray, labels: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    constant, empty = write_case("c1", image * 0, labels), write_case("c2", image, labels * 0)
    assert len(measure(dataset(constant, empty)).cases) == 2
    assert "c1: channel MR has one constant value" in caplog.text
    assert "c2: no voxel of any label (foreground) in the label map" in caplog.text


def test_labels_in_the_border_and_missing_label_maps_are_a_warning(
    write_case: Write, image: np.ndarray, labels: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    labels[0, 0, 0] = 1
    measured = measure(dataset(write_case("edge", image, labels), write_case("bare", image)))
    assert [case.outside for case in measured.cases] == [1, 0]
    assert "edge: 1 labeled voxels lie in the scan's constant border" in caplog.text
    assert "bare: there is no label map" in caplog.text


def test_a_label_on_another_grid_is_refused(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    with pytest.raises(
        InputError, match=r"c_seg\.nii\.gz: expected a label map on the grid of the scan"
    ):
        measure(dataset(write_case("c", image, labels, label_affine=np.diag([2.0, 2, 2, 1]))))


def test_an_unknown_value_is_refused_unless_a_subset_is_wanted(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    case = write_case("c", image, labels)
    only_a = dataset(case, labels={"a": 1})
    with pytest.raises(InputError, match=r"c_seg\.nii\.gz: .* found also 2 \(2 voxels\)"):
        measure(only_a)
    assert list(measure(replace(only_a, subset=True)).cases[0].labels) == ["a"]


def test_not_a_number_is_refused(write_case: Write, image: np.ndarray, labels: np.ndarray) -> None:
    image[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"c\.nii\.gz: expected a number in every voxel"):
        measure(dataset(write_case("c", image, labels)))


def test_another_number_of_channels_is_refused(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    case = write_case("c", image, labels)
    with pytest.raises(InputError, match=r"c\.nii\.gz: expected 2 channels \(T1, T2\), found 1"):
        measure(dataset(case, channels=("T1", "T2")))


def test_nothing_to_learn_from_is_refused(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    with pytest.raises(InputError, match="data: expected at least one case, found none"):
        measure(dataset())
    with pytest.raises(
        InputError, match="data: expected voxels of the labels a 1, b 2, found none in any case"
    ):
        measure(dataset(write_case("c", image, labels * 0)))


def test_pictures_and_scans_do_not_mix(
    write_case: Write, tmp_path: Path, image: np.ndarray, labels: np.ndarray
) -> None:
    Image.fromarray(np.full((4, 5), 7, dtype=np.uint8)).save(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"p: expected mm, as in the first case, found px"):
        measure(dataset(write_case("c", image, labels), Case("p", (tmp_path / "p.png",))))


def test_the_200_hippocampus_cases(data_root: Path) -> None:
    folder = data_root / "Task04_Hippocampus"
    images = sorted((folder / "imagesTr").glob("*.nii.gz"))
    cases = tuple(Case(path.name[:-7], (path,), folder / "labelsTr" / path.name) for path in images)
    task = Dataset("Hippocampus", folder, ("MRI",), {"Anterior": 1, "Posterior": 2}, cases)
    plan = make_plan(measure(task), task, NetworkConfig(), PlanConfig(), 2)
    assert plan.patch == (40, 56, 40)
    assert plan.spacing == (1, 1, 1)
    assert plan.channels[0].scheme == "zscore"
    assert plan.network.divisor == (8, 8, 8)
    assert [stage.layers[0].channels for stage in plan.network.encoder] == [16, 32, 64, 128]
    assert plan.mirror_axes == (0,)
    assert "Posterior lies behind Anterior along y in 200 of 200 cases" in plan.reasons["mirror"]


def test_two_channels_of_one_case_lie_on_one_grid(
    write_case: Write, tmp_path: Path, image: np.ndarray
) -> None:
    other = tmp_path / "t2.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), np.diag([2.0, 1, 1, 1])), other)
    case = write_case("c", image)
    with pytest.raises(
        InputError, match=r"t2\.nii\.gz: expected a channel on the grid of the scan"
    ):
        measure(dataset(replace(case, images=(*case.images, other)), channels=("T1", "T2")))


def test_a_region_has_the_voxels_of_all_its_values(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    data = dataset(labels={"both": 1, "b": 2}, regions={"both": (1, 2), "b": (2,)})
    found = measure_case(write_case("c", image, labels), data).facts.labels
    assert (found["both"].voxels, found["b"].voxels) == (4, 2)
    assert found["both"].centroid == (1.25, 1.25, 1.5)


def test_what_nobody_annotated_is_no_foreground(
    write_case: Write, image: np.ndarray, labels: np.ndarray
) -> None:
    data = dataset(labels={"a": 1}, ignore=2)
    measured = measure_case(
        write_case("c", np.where(labels == 2, 7, image), labels), data, draws=50
    )
    assert list(measured.facts.labels) == ["a"]
    assert measured.facts.ignored == 2
    assert set(measured.samples[0].tolist()) == {100.0}


def test_a_case_without_any_annotation_is_warned_about(
    write_case: Write, image: np.ndarray
) -> None:
    facts = measure_case(write_case("c", image, np.full(image.shape, 9)), dataset(ignore=9)).facts
    assert case_warnings(facts) == {
        "empty_label_map": "nothing is annotated: every voxel has the ignore value"
    }


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**40])
def test_label_values_that_no_label_map_can_hold(
    write_case: Write, image: np.ndarray, value: int
) -> None:
    with pytest.raises(
        InputError, match=rf"expected label values from -2147483648 to 2147483647.*b = {value}\b"
    ):
        measure(dataset(write_case("c", image, image), labels={"a": 100, "b": value}))
