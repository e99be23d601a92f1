"""Tests of the choice of further metrics, in files and in the summary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.evaluation import evaluate
from segkit.io import write_image, write_labels
from segkit.volume import Volume


def label_map(path: Path, *starts: int) -> Path:
    """Write cubes of 4 voxels, each from another place on along X, in a grid of 24 x 8 x 8."""
    array = np.zeros((1, 24, 8, 8), np.uint8)
    for start in starts:
        array[0, start : start + 4, 2:6, 2:6] = 1
    write_labels(path, Volume(array, np.eye(4)))
    return path


def probabilities(label_map: Path, sure: float, label: str = "cyst") -> None:
    """Write a map in which every cube has the probability ``sure``, and its names."""
    from segkit.io import read_labels  # noqa: PLC0415  (only this helper reads)

    cyst = np.where(read_labels(label_map).array[0] == 1, sure, 0.0).astype(np.float32)
    beside = label_map.with_name(label_map.name.replace(".nii.gz", "_probabilities.nii.gz"))
    write_image(beside, Volume(np.stack([1 - cyst, cyst]), np.eye(4)))
    channels = [{"label": "background", "value": 0}, {"label": label, "value": 1}]
    names = beside.with_name(beside.name.replace(".nii.gz", ".json"))
    names.write_text(json.dumps({"channels": channels}))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return predictions and references: case a has a found, a missed and a false lesion."""
    label_map(tmp_path / "p/a.nii.gz", 1, 18)
    label_map(tmp_path / "r/a.nii.gz", 2, 10)
    label_map(tmp_path / "p/b.nii.gz", 2)
    label_map(tmp_path / "r/b.nii.gz", 2)
    return tmp_path / "p", tmp_path / "r"


def test_lesions_of_each_case_and_of_all(folders: tuple[Path, Path]) -> None:
    found = evaluate(*folders, labels={"cyst": 1}, extras=["lesions"])
    counts = {row.metric: row.value for row in found.rows if row.case == "a"}
    assert [counts[f"lesions_{name}"] for name in ("found", "missed", "false")] == [1, 1, 1]
    assert counts["lesion_f1"] == 0.5
    numbers = {"found": 2, "missed": 1, "false": 1, "f1": 4 / 6}
    assert found.summary["lesions"] == {"min_iou": 0.0, "labels": {"cyst": numbers}}
    stricter = evaluate(*folders, labels={"cyst": 1}, extras=["lesions"], lesion_iou=0.9)
    assert stricter.summary["lesions"]["labels"]["cyst"]["found"] == 1


def test_surfaces_between_voxels(folders: tuple[Path, Path]) -> None:
    found = evaluate(*folders, extras=["subvoxel"])
    perfect = {row.metric: row.value for row in found.rows if row.case == "b"}
    assert perfect["subvoxel_hd95_mm"] == perfect["subvoxel_assd_mm"] == 0
    assert perfect["subvoxel_surface_dice"] == 1
    assert "subvoxel_hd95_mm" not in evaluate(*folders).summary["mean"]


def test_calibration_within_10_mm_of_the_label(folders: tuple[Path, Path]) -> None:
    for case, sure in (("a", 0.8), ("b", 1.0)):
        probabilities(folders[0] / f"{case}.nii.gz", sure)
    found = evaluate(*folders, labels={"cyst": 1}, extras=["calibration"])
    values = {(row.case, row.metric): row.value for row in found.rows}
    assert (values["b", "ece"], values["b", "brier"]) == (0, 0)
    # Of 24 x 8 x 8 voxels 128 are predicted with 0.8, 48 of them right; 80 are missed.
    assert values["a", "ece"] == pytest.approx((80 + abs(128 * 0.8 - 48)) / 1536, abs=1e-6)
    brier = (80 + 48 * 0.2**2 + 80 * 0.8**2) / 1536
    assert values["a", "brier"] == pytest.approx(brier, abs=1e-6)
    # The box of case b with 10 mm around it ends 10 voxels behind the cube.
    diagram = found.summary["calibration"]["cyst"]
    assert sum(diagram["voxels"]) == 1536 + 16 * 64
    assert diagram["mean_probability"][1] is None


def test_a_case_without_probabilities_is_named_and_has_no_value(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    probabilities(folders[0] / "a.nii.gz", 0.8, label="by its value")
    found = evaluate(*folders, labels={"cyst": 1}, extras=["calibration"])
    assert "1 of 2 predictions have no probabilities and no values: b" in caplog.text
    assert found.summary["counts"]["cyst"]["undefined"] == {"ece": 1, "brier": 1}


def test_voxels_that_nobody_annotated_do_not_count(folders: tuple[Path, Path]) -> None:
    probabilities(folders[0] / "a.nii.gz", 1.0)
    array = np.zeros((1, 24, 8, 8), np.uint8)
    array[0, 1:5, 2:6, 2:6], array[0, 10:] = 1, 9
    write_labels(folders[1] / "a.nii.gz", Volume(array, np.eye(4)))
    files = (folders[0] / "a.nii.gz", folders[1] / "a.nii.gz")
    found = evaluate(*files, ignore=9, extras=["calibration"])
    assert {row.value for row in found.rows if row.metric in ("ece", "brier")} == {0}
    assert sum(found.summary["calibration"]["label_1"]["voxels"]) == 10 * 64


def test_no_probabilities_at_all(folders: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"such as a_probabilities\.nii\.gz, found none"):
        evaluate(*folders, extras=["calibration"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.with_name("a_probabilities.json").unlink(), "found no such file"),
        (lambda path: path.with_name("a_probabilities.json").write_text("[]"), "other content"),
        (
            lambda path: write_image(path, Volume(np.zeros((2, 24, 8, 7), np.float32), np.eye(4))),
            r"\(24 x 8 x 8 voxels\), found another grid \(24 x 8 x 7 voxels",
        ),
        (
            lambda path: write_image(path, Volume(np.zeros((3, 24, 8, 8), np.float32), np.eye(4))),
            "expected 2 channels, as the JSON file beside it says, found 3",
        ),
        (
            lambda path: write_image(path, Volume(np.full((2, 24, 8, 8), 9.0), np.eye(4))),
            "expected probabilities from 0 to 1, found values from 9 to 9",
        ),
        (
            lambda path: write_image(path, Volume(np.full((2, 24, 8, 8), np.nan), np.eye(4))),
            "expected probabilities from 0 to 1, found values from nan to nan",
        ),
    ],
    ids=["no names", "other names", "grid", "channels", "range", "NaN"],
)
def test_maps_that_cannot_be_used(folders: tuple[Path, Path], spoil, message: str) -> None:
    probabilities(folders[0] / "a.nii.gz", 0.5)
    spoil(folders[0] / "a_probabilities.nii.gz")
    with pytest.raises(InputError, match=message):
        evaluate(*folders, extras=["calibration"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"extras": ["sharpness"]}, "no family of metrics 'sharpness': choose from basic, subvox"),
        ({"extras": ["lesions"], "lesion_iou": 1.5}, "must be from 0 to 1, not 1.5"),
        ({"tolerance_mm": float("inf")}, "must be 0 mm or more, not inf"),
        ({"labels": {"cyst": (1, 2)}, "ignore": 2}, "label 'cyst' has the ignore value 2"),
    ],
)
def test_choices_that_make_no_sense(tmp_path: Path, choice, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(tmp_path, tmp_path, **choice)
