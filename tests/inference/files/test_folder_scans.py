"""Every file of a folder that looks like a scan is predicted, fails with a reason, or is named."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.errors import InputError, UsageError
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.folder_scans import scans_of_folder
from segkit.inference.files.inputs import find_scans
from segkit.io import write_image
from segkit.volume import Volume

FROZEN = Path(__file__).parents[2] / "data" / "bundle_v1"
ONE, TWO = ModelChannels(("CT",)), ModelChannels(("T1", "T2"))


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def ids(folder: Path, channels: ModelChannels = ONE) -> list[str]:
    return [scan.id for scan in scans_of_folder(folder, channels)]


def test_links_without_content_and_other_formats_fail_and_the_rest_goes_on(tmp_path: Path) -> None:
    scan = Volume(
        np.random.default_rng(0).integers(-99, 99, (1, 8, 8, 8)).astype(np.int16), np.eye(4)
    )
    write_image(tmp_path / "in/a.nii.gz", scan)
    (tmp_path / "in/b.nii.gz").symlink_to("../.git/annex/objects/b.nii.gz")
    touch(tmp_path / "in", "c.mgz", "notes.txt", "sheet.jpg")
    assert (
        main(["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(FROZEN)]) == 5
    )
    outcomes = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {name: outcome["status"] for name, outcome in outcomes.items()} == {
        "a": "done",
        "b": "failed",
        "c.mgz": "failed",
    }
    assert "datalad get" in outcomes["b"]["message"]
    assert "found the suffix '.mgz'. Convert the file" in outcomes["c.mgz"]["message"]


def test_dicom_beside_scans_of_other_formats_fails_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "study.zip", "slice1.dcm", "slice2.dcm", "notes.txt")
    touch(tmp_path / "series", "slice1.dcm")
    scans = {scan.id: scan.problem for scan in scans_of_folder(tmp_path, ONE)}
    assert [name for name, problem in scans.items() if problem] == [
        "series",
        "study.zip",
        "slice1.dcm",
    ]
    assert "found DICOM beside scans of other formats" in str(scans["study.zip"])


def test_a_pointer_of_git_annex_is_no_scan(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_text("/annex/objects/MD5E-s1--a.nii.gz\n")
    with pytest.raises(InputError, match="found a pointer of git-annex without content"):
        scans_of_folder(tmp_path, ONE)[0].read()


def test_pictures_of_other_formats_count_among_pictures(tmp_path: Path) -> None:
    assert ids(touch(tmp_path, "a.png", "b.jpg")) == ["a", "b.jpg"]


@pytest.mark.parametrize("first", [0, 1])
def test_running_numbers_are_no_channels(tmp_path: Path, first: int) -> None:
    names = [f"p_{number:04d}" for number in range(first, first + 3)]
    touch(tmp_path, *(f"{name}.nii.gz" for name in names))
    assert ids(tmp_path) == names
    assert ids(tmp_path, TWO) == names


def test_numbers_that_look_like_channels_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, *(f"{case}_000{channel}.nii.gz" for case in "ab" for channel in (0, 1)))
    assert ids(tmp_path, TWO) == ["a", "b"]
    assert caplog.messages == []
    assert len(ids(tmp_path)) == 4
    assert "a_0001.nii.gz and others are taken as scans of their own" in caplog.text


def test_segmentations_and_subfolders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a.nrrd", "a.seg.nrrd", "more/b.nrrd", "out/a.nrrd", "out/predictions.json")
    with caplog.at_level(logging.WARNING):
        assert ids(tmp_path) == ["a"]
    assert (
        "1 file is left out, because of names for segmentations: "
        f"{tmp_path.name}/a.seg" in caplog.text
    )
    assert f"scans in subfolders are left out: {tmp_path.name}/more; give" in caplog.text


def test_names_that_differ_in_capitals_have_one_output(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "A.nii.gz")
    with pytest.raises(
        UsageError, match="have the same output on Windows and macOS, which do not distinguish"
    ):
        find_scans([tmp_path], ONE)
