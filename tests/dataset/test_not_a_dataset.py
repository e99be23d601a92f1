"""Tests of the remedies for folders that are not a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["a/ct.nii.gz", "a/segmentations/liver.nii.gz"],
            "found one mask per structure, such as a/segmentations/liver",
        ),
        (
            ["image/a.nii", "masks/a.nii"],
            "found the folders image and masks. Rename them to images and labels",
        ),
        (
            ["Dataset001/imagesTr/a.nii"],
            "found a dataset in the folder Dataset001. Give .*Dataset001",
        ),
        (["cases.csv", "a.nii"], r"found the CSV file cases.csv. Give the file: .*cases\.csv"),
        (
            ["p1/t1.nii", "p1/seg.nii"],
            r"files in subfolders, such as p1/seg\.nii. List the files in a CSV file",
        ),
        (
            ["config.yaml", "plan.json", "training.csv"],
            r"found the folder of a training. To resume it: segkit train run_dir=\S+ --resume",
        ),
        (
            ["config.yaml", "plan.json", "folds.json"],
            "found the folder of a study. To resume it, repeat the command that started it",
        ),
        ([], "found none of them in this folder. Arrange the files in one of these ways"),
        (["p1.nii.gz", "p1_seg.nii.gz"], "move the scans to images and the label maps to labels"),
    ],
)
def test_remedy(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["images", "labelsTr"])
def test_half_of_a_dataset(tmp_path: Path, name: str) -> None:
    (tmp_path / "scans" / name).mkdir(parents=True)
    (tmp_path / "scans" / {"images": "labels", "labelsTr": "imagesTr"}[name]).mkdir()
    with pytest.raises(InputError, match=r"Give the folder that holds both: .*scans\.$"):
        read_dataset(tmp_path / "scans" / name)


def test_a_folder_that_is_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").symlink_to("gone")
    with pytest.raises(InputError, match="found labels, a link to gone, which is not there"):
        read_dataset(tmp_path)
