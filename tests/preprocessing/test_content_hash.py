"""The hash over every byte of a case's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkit.dataset.dataset import Case
from segkit.errors import InputError
from segkit.preprocessing.content_hash import content_hash


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    case = Case("c", (write(tmp_path / "a.nii", b"1"),), write(tmp_path / "l.nii", b"2"))
    before, status = content_hash(case), (tmp_path / "l.nii").stat()
    write(tmp_path / "l.nii", b"3")
    os.utime(tmp_path / "l.nii", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content_hash(case) != before
    write(tmp_path / "l.nii", b"2")
    assert content_hash(case) == before


def test_names_and_places_do_not_count(tmp_path: Path) -> None:
    here, there = (Case("c", (write(tmp_path / name, b"1"),)) for name in ("a.nii", "sub/b.nii"))
    assert content_hash(here) == content_hash(there)


def test_suffix_role_and_order_count(tmp_path: Path) -> None:
    a, b, picture = (
        write(tmp_path / "a.nii", b"1"),
        write(tmp_path / "b.nii", b"2"),
        write(tmp_path / "a.png", b"1"),
    )
    cases = [(a, b), (b, a), (a,), (picture,)]
    hashes = {content_hash(Case("c", images, label)) for images in cases for label in (None, a, b)}
    assert len(hashes) == 12


@pytest.mark.parametrize(
    "line", ["data file: x1.raw", "data file: x%d.raw 1 2 1", "data file: LIST\nx1.raw\nx2.raw"]
)
def test_voxels_apart_from_their_header_count(tmp_path: Path, line: str) -> None:
    header = write(tmp_path / "h.nhdr", f"NRRD0004\n{line}\n".encode())
    write(tmp_path / "x1.raw", b"1")
    write(tmp_path / "x2.raw", b"1")
    before = content_hash(Case("c", (header,)))
    write(tmp_path / "x1.raw", b"2")
    assert content_hash(Case("c", (header,))) != before


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.nii: expected a file, found No such file"):
        content_hash(Case("c", (tmp_path / "a.nii",)))
