"""Faults that are planted into a small dataset, alone and in combinations, are all found."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.dataset.layouts import read_dataset
from segkit.dataset_check import Problem, check
from segkit.dataset_check.checks import BY_NAME

FEW, MANY = 8, 20
"""Number of cases; two intensity groups need the larger one."""
SHAPE = (18, 14, 10)
LABELS = {"kidney_left": 1, "kidney_right": 2, "spine": 3}


@dataclass
class Made:
    """One case before it is written."""

    image: np.ndarray
    labels: np.ndarray
    affine: np.ndarray = field(default_factory=lambda: np.diag([1.0, 1.0, 2.0, 1.0]))
    label_affine: np.ndarray | None = None
    patient: str = ""
    split: str = ""
    group: str = ""


Cases = dict[str, Made]


def sound(count: int = FEW) -> Cases:
    """MR of about 100 with two kidneys and a spine between and behind them, X to the right."""
    random = np.random.default_rng(7)
    cases = {}
    for number in range(count):
        labels = np.zeros(SHAPE, np.uint8)
        size = 2 + number % 2
        labels[2 : 4 + size, 5:9, 3:6] = 1
        labels[10 : 12 + size, 5:9, 3:6] = 2
        labels[8:10, 2:4, 2:8] = 3
        image = random.normal(100, 8, SHAPE) + 40 * (labels > 0)
        made = Made(image.astype(np.float32), labels)
        made.patient, made.split = f"P{number}", str(number % 5)
        cases[f"c{number:02}"] = made
    return cases


def written(folder: Path, cases: Cases) -> Path:
    """Write the cases in the layout of a CSV file."""
    with (folder / "cases.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case", "image:MR", "label", "patient", "split", "group"])
        for name, made in cases.items():
            label_affine = made.affine if made.label_affine is None else made.label_affine
            nibabel.save(nibabel.Nifti1Image(made.image, made.affine), folder / f"{name}.nii")
            nibabel.save(nibabel.Nifti1Image(made.labels, label_affine), folder / f"{name}_l.nii")
            rows.writerow(
                [name, f"{name}.nii", f"{name}_l.nii", made.patient, made.split, made.group]
            )
    (folder / "dataset.yaml").write_text(f"labels: {LABELS}".replace("'", ""))
    return folder / "cases.csv"


def found(folder: Path, cases: Cases) -> list[Problem]:
    return check(read_dataset(written(folder, cases), strict=False))


# -- faults ----------------------------------------------------------------------------------------


def other_shape(made: Made) -> None:
    made.labels = made.labels[:, :, 1:].copy()


def moved(made: Made) -> None:
    made.label_affine = made.affine.copy()
    made.label_affine[0, 3] += 5.5


def other_spacing(made: Made) -> None:
    made.label_affine = made.affine @ np.diag([1.5, 1.0, 1.0, 1.0])


def turned(made: Made) -> None:
    made.label_affine = made.affine.copy()
    made.label_affine[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]


def not_a_number(made: Made) -> None:
    made.image[4, 4, 4] = np.nan


def constant(made: Made) -> None:
    made.image[:] = 5


def empty(made: Made) -> None:
    made.labels[:] = 0


def unknown_value(made: Made) -> None:
    made.labels[9, 9, 7] = 7


def stray(made: Made) -> None:
    made.labels[15, 11, 8] = 1


def coarse(made: Made) -> None:
    made.affine = np.diag([1.6, 1.0, 2.0, 1.0])


def large(made: Made) -> None:
    made.image = np.pad(made.image, ((0, 0), (0, 14), (0, 0)), mode="wrap")
    made.labels = np.pad(made.labels, ((0, 0), (0, 14), (0, 0)))


def bright(made: Made) -> None:
    made.image *= 50


def as_ct(made: Made) -> None:
    made.image = np.round(made.image - 1100).astype(np.float32)
    made.image[0, 0, 0] = 1500


def swapped(made: Made) -> None:
    """Two labels that lie apart along two axes have each other's value."""
    made.labels = np.array([0, 3, 2, 1], np.uint8)[made.labels]


def small_organ(made: Made) -> None:
    made.labels[made.labels == 3] = 0
    made.labels[8, 2:4, 2:4] = 3


def absent_organ(made: Made) -> None:
    made.labels[made.labels == 3] = 0


def mirrored(made: Made) -> None:
    """The voxels are reversed along X, and the header does not say so."""
    made.image, made.labels = made.image[::-1].copy(), made.labels[::-1].copy()


def upside_down(made: Made) -> None:
    made.image, made.labels = made.image[:, ::-1].copy(), made.labels[:, ::-1].copy()


def at_edge(made: Made) -> None:
    made.labels[8:10, 0:4, 2:8] = 3


OF_A_CASE: dict[str, tuple[Callable[[Made], None], str]] = {
    "label map of another shape": (other_shape, "label_grid"),
    "label map at another origin": (moved, "label_grid"),
    "label map of another spacing": (other_spacing, "label_grid"),
    "label map in another direction": (turned, "label_grid"),
    "NaN": (not_a_number, "not_finite"),
    "constant image": (constant, "constant_image"),
    "empty label map": (empty, "empty_label_map"),
    "unexpected value": (unknown_value, "label_values"),
    "stray voxel": (stray, "stray_voxels"),
    "spacing": (coarse, "odd_spacing"),
    "size": (large, "odd_size"),
    "intensity": (bright, "odd_intensity"),
    "CT among MR": (as_ct, "unnamed_ct"),
    "exchanged labels": (swapped, "exchanged_labels"),
    "small label": (small_organ, "small_label"),
    "absent label": (absent_organ, "odd_volume"),
    "mirrored": (mirrored, "side_names"),
    "upside down": (upside_down, "mirrored_case"),
    "label at the edge": (at_edge, "label_at_edge"),
}
"""Fault -> function that plants it in a case, and the check that must name the case."""


def copy_of(cases: Cases) -> None:
    cases["again"] = Made(
        cases["c03"].image.copy(), cases["c03"].labels, patient="P99", split=cases["c03"].split
    )


def copy_in_other_fold(cases: Cases) -> None:
    copy_of(cases)
    cases["again"].split = "4"


def one_patient(cases: Cases) -> None:
    cases["c05"].patient = cases["c06"].patient


def two_groups(cases: Cases) -> None:
    for number in range(10):
        cases[f"c{number:02}"].image *= 30


OF_THE_DATASET: dict[str, tuple[Callable[[Cases], None], str]] = {
    "a copy": (copy_of, "copies"),
    "a copy in another fold": (copy_in_other_fold, "copies_in_two_folds"),
    "a patient in two folds": (one_patient, "patient_in_two_folds"),
    "two groups of intensities": (two_groups, "intensity_groups"),
}


def named(problems: Sequence[Problem], check_name: str) -> set[str]:
    return {problem.case for problem in problems if problem.check == check_name}


def test_a_sound_dataset_has_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path, sound(MANY)) == []


@pytest.mark.parametrize("fault", OF_A_CASE)
def test_a_fault_of_a_case(fault: str, tmp_path: Path) -> None:
    plant, check_name = OF_A_CASE[fault]
    cases = sound()
    plant(cases["c04"])
    problems = found(tmp_path, cases)
    assert named(problems, check_name) == {"c04"}
    assert {problem.case for problem in problems} == {"c04"}  # the others are not suspected
    row = BY_NAME[check_name]
    (severity,) = {problem.severity for problem in problems if problem.check == check_name}
    assert severity == row.severity


@pytest.mark.parametrize("fault", OF_THE_DATASET)
def test_a_fault_of_the_dataset(fault: str, tmp_path: Path) -> None:
    plant, check_name = OF_THE_DATASET[fault]
    cases = sound(MANY if check_name == "intensity_groups" else FEW)
    plant(cases)
    (problem,) = found(tmp_path, cases)
    assert (problem.case, problem.check) == ("", check_name)
    assert problem.severity == BY_NAME[check_name].severity


def test_a_noisy_mr_is_no_ct(tmp_path: Path) -> None:
    """Noise reaches below -500 in whole numbers, where MR has none and CT shows air."""
    cases = sound()
    noise = np.random.default_rng(3).normal(0, 200, SHAPE)
    cases["c04"].image = np.round(cases["c04"].image + noise).astype(np.float32)
    assert cases["c04"].image.min() < -500
    assert named(found(tmp_path, cases), "unnamed_ct") == set()
    assert "c04" not in "".join(each.message for each in found(tmp_path, cases) if not each.case)


def test_groups_that_the_dataset_names_are_no_news(tmp_path: Path) -> None:
    cases = sound(MANY)
    two_groups(cases)
    for made in cases.values():
        made.group = "bright" if made.image.mean() > 1000 else "dark"
    assert found(tmp_path, cases) == []


@pytest.mark.parametrize("seed", range(4))
def test_twelve_faults_at_once(seed: int, tmp_path: Path) -> None:
    """Each in a case of its own, and two that concern several cases."""
    random = np.random.default_rng(seed)
    cases = sound(MANY)
    names = random.permutation(sorted(set(cases) - {"c03", "c05", "c06"}))[:10]
    faults = random.permutation(list(OF_A_CASE))[:10]
    for name, fault in zip(names, faults, strict=True):
        OF_A_CASE[fault][0](cases[name])
    one_patient(cases)
    (copy_of if seed % 2 else copy_in_other_fold)(cases)
    problems = found(tmp_path, cases)
    for name, fault in zip(names, faults, strict=True):
        assert name in named(problems, OF_A_CASE[fault][1]), (fault, name)
    assert named(problems, "patient_in_two_folds") == {""}
    assert named(problems, "copies" if seed % 2 else "copies_in_two_folds") == {""}


@pytest.mark.parametrize(
    "faults",
    [
        ("NaN", "unexpected value"),
        ("NaN", "label map at another origin"),
        ("label map of another shape", "unexpected value"),
        ("NaN", "label map in another direction", "unexpected value"),
        ("stray voxel", "mirrored", "intensity", "spacing"),
        ("constant image", "empty label map", "spacing"),
        ("small label", "upside down", "stray voxel"),
    ],
)
def test_several_faults_of_one_case(faults: Sequence[str], tmp_path: Path) -> None:
    cases = sound()
    for fault in faults:
        OF_A_CASE[fault][0](cases["c04"])
    problems = found(tmp_path, cases)
    for fault in faults:
        assert named(problems, OF_A_CASE[fault][1]) == {"c04"}, fault
