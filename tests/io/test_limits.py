"""Scans that are refused because they do not fit into the free memory."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import limits, memory, open_source


def test_a_header_may_not_promise_more_than_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nib.save(nib.Nifti1Image(np.zeros((99, 99, 99), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable: 1000 kB\n")
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    with pytest.raises(
        InputError,
        match=r"fits into the 1\.0 MB of free memory, "
        r"found a header that promises 1\.9 MB",
    ):
        open_source(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(("name", "helps"), [("a.nii.gz", True), ("a.nii", False)])
def test_decompressing_helps_a_compressed_file_only(
    monkeypatch: pytest.MonkeyPatch, name: str, helps: bool
) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: 9)
    with pytest.raises(InputError, match="close other programs, use a machine") as refused:
        limits.check_memory(name, 10)
    assert ("decompress it (gzip -dk)" in str(refused.value)) is helps


def test_unknown_memory_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: None)
    limits.check_memory("a.nii", 10**18)
