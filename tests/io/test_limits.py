"""Free memory of the system, and scans that do not fit into it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError, OutOfMemoryError
from segkit.io import available_memory, limits, open_source


def test_some_memory_is_free() -> None:
    free = available_memory()
    assert free is None or free > 2**20


def test_the_smaller_of_system_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   5 kB\n")
    monkeypatch.setattr(limits, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    assert available_memory() == 5120
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available_memory() == 5120
    (tmp_path / "memory.max").write_text("3000\n")
    assert available_memory() == 2000
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 400\nactive_file 100\n")
    assert available_memory() == 2400
    (tmp_path / "memory.stat").write_text("inactive_file 9000\n")
    assert available_memory() == 3000


def test_a_header_may_not_promise_more_than_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nib.save(nib.Nifti1Image(np.zeros((99, 99, 99), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "meminfo").write_text("MemAvailable: 1000 kB\n")
    monkeypatch.setattr(limits, "_MEMINFO", tmp_path / "meminfo")
    with pytest.raises(
        InputError,
        match=r"fits into the 1\.0 MB of free memory, "
        r"found a header that promises 1\.9 MB",
    ):
        open_source(tmp_path / "a.nii.gz")


def test_work_that_does_not_fit() -> None:
    with pytest.raises(
        OutOfMemoryError,
        match=r"a\.nii: the scores take 2\.0 KB, and 1\.0 KB may be used\. Use a machine",
    ):
        limits.require_memory("a.nii", 2000, "the scores", limit=1000)
    limits.require_memory("a.nii", 1000, "the scores", limit=1000)


def test_unknown_memory_sets_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MEMINFO", "_CGROUP"):
        monkeypatch.setattr(limits, name, tmp_path / "nothing")
    monkeypatch.setattr(
        limits.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}[name]
    )
    assert available_memory() == 40960
    monkeypatch.delattr(limits.os, "sysconf")
    assert available_memory() is None
    limits.check_memory("a.nii", 10**18)
