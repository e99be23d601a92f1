from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset_check import check
from segkit.dataset_check.fix_geometry import write_fixed_copy
from segkit.errors import InputError, UsageError

AFFINE = np.array([[0.0, 1.2, 0, 5], [-1.1, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])
VOXELS = np.arange(4 * 5 * 6).reshape(4, 5, 6)
LABELS = (VOXELS % 7 == 0).astype(np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a dataset of one case with a label map of these voxels and affine."""

    def build(labels: np.ndarray, affine: np.ndarray) -> Dataset:
        folder = tmp_path / "data"
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(VOXELS.astype(np.int16), AFFINE), folder / "images/a.nii")
        nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labels/a.nii")
        (folder / "dataset.yaml").write_text("channels: [MR]\nlabels: {organ: 1}")
        return read_dataset(folder)

    return build


def moved(*, by: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[2, 3] += by
    return affine


def without_position() -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] = 0
    return affine


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (np.eye(4), "its header says nothing"),
        (np.diag([-1.0, -1, 1, 1]), "its header says nothing"),
        (moved(by=1), "it is off by less than a voxel (origin 1 mm off"),
        (without_position(), "its header has no position"),
    ],
)
def test_a_wrong_header_is_replaced(
    pair: Callable, tmp_path: Path, affine: np.ndarray, said: str
) -> None:
    dataset = pair(LABELS, affine)
    before = {path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()}
    assert [problem.check for problem in check(dataset)] == ["label_grid"]
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "corrected"
    assert said in done.text
    copy = nibabel.load(tmp_path / "copy/labels/a.nii")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), LABELS)
    np.testing.assert_allclose(copy.affine, AFFINE)
    assert (tmp_path / "copy/images/a.nii").read_bytes() == before[dataset.cases[0].images[0]]
    assert {path: path.read_bytes() for path in before} == before
    errors = [each for each in check(read_dataset(tmp_path / "copy")) if each.severity == "error"]
    assert errors == []


def with_others(dataset: Dataset, affine: np.ndarray, *, count: int = 3) -> Dataset:
    """Add cases with this affine, each at another position, whose headers agree."""
    for number in range(count):
        shifted = affine.copy()
        shifted[:3, 3] += 50 + 10 * number
        scan = VOXELS.astype(np.int16) + 1 + number
        nibabel.save(nibabel.Nifti1Image(scan, shifted), dataset.root / f"images/other{number}.nii")
        nibabel.save(
            nibabel.Nifti1Image(LABELS, shifted), dataset.root / f"labels/other{number}.nii"
        )
    return read_dataset(dataset.root)


def grid_errors(dataset: Dataset) -> list[Any]:
    return [each for each in check(dataset) if each.check in ("label_grid", "scan_header")]


EXCHANGED = np.diag([-1.0, -1, 1, 1]) @ AFFINE


def test_exchanged_signs_are_corrected_if_the_scan_is_like_the_others(
    pair: Callable, tmp_path: Path
) -> None:
    dataset = with_others(pair(LABELS, EXCHANGED), AFFINE)
    (error,) = grid_errors(dataset)
    assert (error.check, error.file) == ("label_grid", "labels/a.nii")
    assert "seems to be wrong (its header has the signs of X and Y exchanged)" in error.message
    done, *_ = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "corrected"
    assert "signs of X and Y exchanged" in done.text
    np.testing.assert_allclose(nibabel.load(tmp_path / "copy/labels/a.nii").affine, AFFINE)


@pytest.mark.parametrize(
    ("usual", "what"),
    [
        (EXCHANGED, "the signs or the order of its axes and the direction of its axes"),
        (AFFINE @ np.diag([2.0, 2, 2, 1]), "voxel size"),
    ],
)
def test_the_header_of_an_odd_scan_is_not_copied(
    pair: Callable, tmp_path: Path, usual: np.ndarray, what: str
) -> None:
    dataset = with_others(pair(LABELS, usual), usual)
    (error,) = grid_errors(dataset)
    assert (error.check, error.file) == ("scan_header", "images/a.nii")
    why = (
        f"the header of the scan differs from those of the other 3 scans in {what}, and that of its"
        " label map agrees with them"
    )
    assert error.message.startswith(f"{why} (labels/a.nii). [")
    assert "leave the label map as it is" in error.remedy
    done, *_ = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "refused"
    assert f"found {why}. Export the scan again, or correct its header" in done.text
    assert (tmp_path / "copy/labels/a.nii").read_bytes() == (
        dataset.root / "labels/a.nii"
    ).read_bytes()


def test_scans_that_say_nothing_are_not_compared_with(pair: Callable, tmp_path: Path) -> None:
    dataset = with_others(pair(LABELS, EXCHANGED), AFFINE)
    for name in ("images/other0.nii", "labels/other0.nii"):
        array = np.asarray(nibabel.load(dataset.root / name).dataobj)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), dataset.root / name)
    done, *_ = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "corrected"


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("code", [0, 1])  # no form at all, and the identity
def test_the_header_of_a_scan_that_says_nothing_is_not_copied(
    pair: Callable, tmp_path: Path, count: int, code: int
) -> None:
    dataset = with_others(pair(LABELS, AFFINE), AFFINE, count=count)
    scan = nibabel.Nifti1Image(VOXELS.astype(np.int16), np.eye(4))
    scan.set_sform(np.eye(4), code)
    scan.set_qform(np.eye(4), code)
    nibabel.save(scan, dataset.root / "images/a.nii")
    (error,) = grid_errors(dataset)
    assert (error.check, error.file) == ("scan_header", "images/a.nii")
    assert "the header of the scan says nothing about position and orientation" in error.message
    done, *_ = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "refused"
    np.testing.assert_allclose(nibabel.load(tmp_path / "copy/labels/a.nii").affine, AFFINE)


@pytest.mark.parametrize(
    ("others", "count", "why"),
    [
        (AFFINE, 0, "there are too few other scans to compare the headers with"),
        (np.diag([-2.0, 1.2, 1.1, 1]), 3, "compared with the other 3 scans, neither is the odd"),
    ],
)
def test_what_cannot_be_told_is_said_and_not_corrected(
    pair: Callable, tmp_path: Path, others: np.ndarray, count: int, why: str
) -> None:
    dataset = with_others(pair(LABELS, EXCHANGED), others, count=count)
    (error,) = grid_errors(dataset)
    assert error.check == "label_grid"
    assert f"Which of the two headers is wrong cannot be told: {why}" in error.message
    assert error.message.endswith("--fix-geometry leaves it as it is.")
    done, *_ = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "refused"
    assert "Which of the two headers is wrong cannot be told" in done.text


def test_a_label_map_stored_in_another_order_is_turned(pair: Callable, tmp_path: Path) -> None:
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = 3  # the last of four voxels
    dataset = pair(LABELS[::-1], AFFINE @ flip)
    (note,) = [problem for problem in check(dataset) if problem.check == "label_header"]
    assert (note.severity, note.case) == ("note", "a")
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "corrected"
    copy = nibabel.load(tmp_path / "copy/labels/a.nii")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), LABELS)
    np.testing.assert_allclose(copy.affine, AFFINE)


@pytest.mark.parametrize(
    ("labels", "affine", "said"),
    [
        (LABELS[:, :, 1:], np.eye(4), "other shape"),
        (LABELS, AFFINE @ np.diag([1.5, 1, 1, 1]), "spacing 0.55 mm off"),
        (LABELS, AFFINE[:, [1, 0, 2, 3]], "direction 90 degrees off"),
        (LABELS, np.diag([-1.0, 1, 1, 1]), "direction 90 degrees off"),
        # Right in the world, drawn on another scan of the patient: not voxel for voxel.
        (LABELS, moved(by=30.5), "origin 30.5 mm off"),
    ],
)
def test_other_differences_are_refused_and_copied_as_they_are(
    pair: Callable, tmp_path: Path, labels: np.ndarray, affine: np.ndarray, said: str
) -> None:
    dataset = pair(labels, affine)
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "refused"
    assert said in done.text
    assert "of which only the header is wrong" in done.text
    original = (dataset.root / "labels/a.nii").read_bytes()
    assert (tmp_path / "copy/labels/a.nii").read_bytes() == original


def without_forms(dataset: Dataset, edges: tuple[float, ...]) -> Dataset:
    """Save the label map with these voxel sizes and both form codes 0."""
    path = dataset.root / "labels/a.nii"
    content = bytearray(path.read_bytes())
    content[80:92] = np.array(edges, "<f4").tobytes()  # pixdim[1:4]
    content[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(content)
    return dataset


def test_a_header_of_voxel_sizes_alone_is_replaced(pair: Callable, tmp_path: Path) -> None:
    dataset = without_forms(pair(LABELS, AFFINE), (1.1, 1.2, 2))
    (error,) = grid_errors(dataset)
    assert error.correctable
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "corrected"
    assert "no position and orientation (both form codes are 0)" in done.text
    copy = nibabel.load(tmp_path / "copy/labels/a.nii")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), LABELS)
    np.testing.assert_allclose(copy.affine, AFFINE)


def test_a_header_without_voxel_sizes_is_refused_as_documented(
    pair: Callable, tmp_path: Path
) -> None:
    dataset = without_forms(pair(LABELS, AFFINE), (0, 0, 0))
    (error,) = [each for each in check(dataset) if each.severity == "error"]
    assert (error.check, error.correctable) == ("unreadable", False)
    assert "given the header of that scan, with FSL by 'fslcpgeom SCAN" in error.message
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert done.state == "refused"


@pytest.mark.parametrize("by", [1, 30])  # less than a voxel away, and farther
def test_exchanged_label_maps_are_refused(pair: Callable, tmp_path: Path, by: int) -> None:
    dataset = pair(LABELS, moved(by=by))
    other = dataset.root / "images/b.nii"
    nibabel.save(nibabel.Nifti1Image(VOXELS.astype(np.int16), moved(by=by)), other)
    nibabel.save(nibabel.Nifti1Image(LABELS, AFFINE), dataset.root / "labels/b.nii")
    errors = grid_errors(read_dataset(dataset.root))
    assert "It has the header of the scan of b. --fix-geometry leaves it" in errors[0].message
    assert not any(error.correctable for error in errors)
    done = write_fixed_copy(read_dataset(dataset.root), tmp_path / "copy")
    assert [each.state for each in done] == ["refused", "refused"]
    assert "found the header of the scan of b" in done[0].text


def test_a_label_map_that_does_not_fit_a_dicom_scan_is_refused(tmp_path: Path, dicom: Any) -> None:
    dicom.series(tmp_path / "data/images/a", VOXELS.astype(np.int16))
    (tmp_path / "data/labels").mkdir()
    nibabel.save(nibabel.Nifti1Image(LABELS, moved(by=90)), tmp_path / "data/labels/a.nii")
    dataset = read_dataset(tmp_path / "data", ["MR"], {"organ": 1})
    (done,) = write_fixed_copy(dataset, tmp_path / "copy")
    assert (done.case, done.state) == ("a", "refused")
    assert "expected a label map on the grid of the scan" in done.text


def test_a_right_pair_is_copied(pair: Callable, tmp_path: Path) -> None:
    (done,) = write_fixed_copy(pair(LABELS, AFFINE), tmp_path / "copy")
    assert (done.state, done.text) == ("unchanged", "")


def test_an_interrupted_copy_has_no_description(pair: Callable, tmp_path: Path) -> None:
    def stop(_done: int, _cases: int, _name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fixed_copy(pair(LABELS, AFFINE), tmp_path / "copy", stop)
    assert (tmp_path / "copy/labels/a.nii").exists()
    assert not (tmp_path / "copy/dataset.yaml").exists()


def test_the_original_is_never_written_to(pair: Callable, tmp_path: Path) -> None:
    dataset = pair(LABELS, AFFINE)
    for out in (dataset.root / "copy", tmp_path / "data" / ".." / "data" / "labels" / "x"):
        with pytest.raises(UsageError, match="inside the dataset"):
            write_fixed_copy(dataset, out)
    with pytest.raises(UsageError, match="exists and is not empty"):
        write_fixed_copy(dataset, dataset.root)


def test_absolute_paths_are_refused(pair: Callable, tmp_path: Path) -> None:
    folder = pair(LABELS, AFFINE).root
    (folder / "cases.csv").write_text(
        f"case,image,label\na,{folder.resolve()}/images/a.nii,labels/a.nii\n"
    )
    with pytest.raises(InputError, match=r"absolute paths in cases\.csv"):
        write_fixed_copy(read_dataset(folder / "cases.csv", ["MR"], {"organ": 1}), tmp_path / "c")


def test_absolute_paths_through_a_link_are_refused(pair: Callable, tmp_path: Path) -> None:
    pair(LABELS, AFFINE)
    folder = tmp_path / "link"
    folder.symlink_to(tmp_path / "data")
    (folder / "cases.csv").write_text(f"case,image,label\na,{folder}/images/a.nii,labels/a.nii\n")
    with pytest.raises(InputError, match=r"absolute paths in cases\.csv"):
        write_fixed_copy(read_dataset(folder / "cases.csv", ["MR"], {"organ": 1}), tmp_path / "c")


def test_files_elsewhere_are_refused(pair: Callable, tmp_path: Path) -> None:
    pair(LABELS, AFFINE)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/cases.csv").write_text(
        "case,image,label\na,../data/images/a.nii,../data/labels/a.nii\n"
    )
    with pytest.raises(InputError, match="outside it"):
        write_fixed_copy(
            read_dataset(tmp_path / "lists/cases.csv", ["MR"], {"organ": 1}), tmp_path / "c"
        )
