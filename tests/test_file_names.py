"""Suffixes, case ids and natural order."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import InputError
from segkit.file_names import case_id, must_exist, natural_key, readable_files, scan_paths, suffix_of


@pytest.mark.parametrize(
    ("name", "suffix", "case"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("A.B.NII.GZ", ".nii.gz", "A.B"),
        ("a.nii", ".nii", "a"),
        ("v1.2.mha", ".mha", "v1.2"),
        ("x.seg.nrrd", ".nrrd", "x.seg"),
        ("table.csv", ".csv", "table"),
        ("noise", "", "noise"),
    ],
)
def test_suffix_and_case(name: str, suffix: str, case: str) -> None:
    assert (suffix_of(name), case_id(f"folder.d/{name}")) == (suffix, case)


def test_numbers_sort_by_value() -> None:
    assert sorted(["10", "2", "a10b2", "a10b1", "a9", ""], key=natural_key) == ["", "2", "10", "a9", "a10b1", "a10b2"]


def test_folder_gives_its_readable_files(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "._2.png", "notes.txt", "3.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in readable_files(tmp_path)] == ["2.png", "3.nii.gz", "10.png"]
    assert [path.name for path in scan_paths([tmp_path / "notes.txt", tmp_path])][:2] == ["notes.txt", "2.png"]
    assert scan_paths(tmp_path / "2.png") == [tmp_path / "2.png"]


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder that can be read, found No such file"):
        readable_files(tmp_path / "gone")


def test_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected scans .* found none directly in this folder\. Is it"):
        scan_paths(tmp_path)
    for name in ("1.dcm", "2.dcm", "README"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"found none directly in this folder, only files with \.dcm no suffix\."):
        scan_paths(tmp_path)


def test_missing_file_and_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file"):
        scan_paths([tmp_path / "a.nii.gz"])
    with pytest.raises(InputError, match="found no such file"):
        scan_paths([tmp_path / ("n" * 300)])
    with pytest.raises(InputError, match="found a folder"):
        must_exist(tmp_path)
