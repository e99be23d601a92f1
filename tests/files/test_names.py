"""Suffixes, case ids and natural order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkit.errors import InputError
from segkit.files.names import (
    READABLE,
    case_id,
    files_behind,
    listed,
    must_exist,
    natural_key,
    readable_files,
    scan_paths,
    suffix_of,
)


@pytest.mark.parametrize(
    ("name", "suffix", "case"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("A.B.NII.GZ", ".nii.gz", "A.B"),
        ("a.nii", ".nii", "a"),
        ("v1.2.mha", ".mha", "v1.2"),
        ("x.seg.nrrd", ".nrrd", "x"),
        ("X.SEG.NRRD", ".nrrd", "X"),
        (".seg.nrrd.nii", ".nii", ".seg.nrrd"),
        ("Mu\u0308ller.nii", ".nii", "M\u00fcller"),
        ("table.csv", ".csv", "table"),
        ("noise", "", "noise"),
    ],
)
def test_suffix_and_case(name: str, suffix: str, case: str) -> None:
    assert (suffix_of(name), case_id(f"folder.d/{name}")) == (suffix, case)


def test_numbers_sort_by_value() -> None:
    assert sorted(["10", "2", "a10b2", "a10b1", "a9", ""], key=natural_key) == [
        "",
        "2",
        "10",
        "a9",
        "a10b1",
        "a10b2",
    ]


def test_folder_gives_its_readable_files(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "._2.png", "notes.txt", "3.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in readable_files(tmp_path)] == ["2.png", "3.nii.gz", "10.png"]
    assert [path.name for path in scan_paths([tmp_path / "notes.txt", tmp_path])][:2] == [
        "notes.txt",
        "2.png",
    ]
    assert scan_paths(tmp_path / "2.png") == [tmp_path / "2.png"]


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder that can be read, found No such file"):
        readable_files(tmp_path / "gone")


def test_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected scans .* found none directly in this folder\. Check"
    ):
        scan_paths(tmp_path)
    for name in ("1.dcm", "2.dcm", "README"):
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=r"found none directly in this folder, only files with \.dcm no suffix\."
    ):
        scan_paths(tmp_path)


def test_scans_in_subfolders_are_named(tmp_path: Path) -> None:
    for name in ("sub-10/anat/T1.nii.gz", "sub-2/anat/T1.nii.gz", ".git/a.nii", "sub-2/.b.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "participants.tsv").touch()
    with pytest.raises(InputError) as caught:
        scan_paths(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: expected scans ({listed(READABLE)}, or DICOM, also in a .zip), found none "
        "directly in this folder, only files with .tsv; 2 image files are in its subfolders. "
        f"Give the folder of the scans, such as {tmp_path / 'sub-2' / 'anat'}."
    )
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"Give the folder of the scans, such as \S+images\."):
        scan_paths(tmp_path)


def test_missing_file_and_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file"):
        scan_paths([tmp_path / "a.nii.gz"])
    with pytest.raises(InputError, match="found no such file"):
        scan_paths([tmp_path / ("n" * 300)])
    with pytest.raises(InputError, match="found a folder"):
        must_exist(tmp_path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(InputError, match="expected a file, found a pipe or a device"):
        must_exist(tmp_path / "a.nii")


def test_the_files_behind_a_header_are_those_that_it_names(tmp_path: Path) -> None:
    for name in ("a.raw", "b.raw", "other.raw"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "a.mhd").write_text("ObjectType = Image\nElementDataFile = a.raw\n")
    (tmp_path / "l.mhd").write_text("ElementDataFile = LIST\na.raw\nb.raw\n")
    (tmp_path / "n.nhdr").write_text("NRRD0004\ndata file: b.raw\n")
    for name in ("s1.raw", "s02.raw", "sx.raw"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "p.nhdr").write_text("NRRD0004\ndata file: s%02d.raw 1 20 1\n")
    (tmp_path / "own.mhd").write_text("ElementDataFile = LOCAL\n\0\0")
    found = {
        path.name: [file.name for file in files_behind(path)]
        for path in sorted(tmp_path.glob("*.*hd*"))
    }
    assert found == {
        "a.mhd": ["a.mhd", "a.raw"],
        "l.mhd": ["l.mhd", "a.raw", "b.raw"],
        "n.nhdr": ["n.nhdr", "b.raw"],
        "own.mhd": ["own.mhd"],
        "p.nhdr": ["p.nhdr", "s02.raw", "s1.raw"],
    }
    assert files_behind(tmp_path / "a.raw") == [tmp_path / "a.raw"]
    assert files_behind(tmp_path / "gone.mhd") == [tmp_path / "gone.mhd"]


def test_the_folder_of_a_dataset_says_where_its_scans_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"Give the folder of the scans, such as .*images\.$"):
        scan_paths(tmp_path)
