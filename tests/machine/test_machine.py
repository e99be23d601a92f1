"""Facts about a machine, read from copies of the files in which Linux states them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segkit.machine.account import Account, account
from segkit.machine.cgroup import MemoryLimit, cpu_quota, memory_limit
from segkit.machine.folders import folder, root_is_read_only
from segkit.machine.gpu import Driver, driver
from segkit.machine.memory import memory
from segkit.machine.processor import processor

GIB = 1 << 30
NO_LIMIT_V1 = "9223372036854771712\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write the files below ``root`` and return it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMORY = {
    "version 2 in a container": (
        {"memory.max": "3000\n", "memory.current": "1000\n", "memory.stat": "inactive_file 400\n"},
        MemoryLimit(3000, 1000, 400),
    ),
    "version 2 without a limit": ({"memory.max": "max\n", "memory.current": "1000\n"}, None),
    "version 1 in a container": (
        {
            "memory/memory.limit_in_bytes": "3000\n",
            "memory/memory.usage_in_bytes": "1000\n",
            "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 500\n",
        },
        MemoryLimit(3000, 1000, 500),
    ),
    "version 1 without a limit": (
        {
            "memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "memory/memory.usage_in_bytes": "1000\n",
        },
        None,
    ),
    "version 2 in a job": (
        {"slurm/job/memory.max": "5000\n", "slurm/job/memory.current": "100\n"},
        MemoryLimit(5000, 100),
    ),
    "version 2 in a job below a smaller limit": (
        {
            "slurm/job/memory.max": "5000\n",
            "slurm/job/memory.current": "100\n",
            "slurm/memory.max": "4000\n",
            "slurm/memory.current": "3000\n",
        },
        MemoryLimit(4000, 3000),
    ),
    "version 1 in a job": (
        {
            "memory/job/memory.limit_in_bytes": "3000\n",
            "memory/job/memory.usage_in_bytes": "1000\n",
        },
        MemoryLimit(3000, 1000),
    ),
    "both versions": (
        {"unified/slurm/job/memory.max": "60\n", "unified/slurm/job/memory.current": "10\n"},
        MemoryLimit(60, 10),
    ),
}


@pytest.mark.parametrize(("files", "expected"), MEMORY.values(), ids=MEMORY)
def test_memory_limit(tmp_path: Path, files: dict[str, str], expected: MemoryLimit | None) -> None:
    tree(tmp_path / "sys/fs/cgroup", files)
    tree(tmp_path, {"proc/self/cgroup": "4:cpuset,memory:/job\n0::/slurm/job\n"})
    assert memory_limit(tmp_path) == expected


def test_a_group_outside_of_the_mount_is_not_read(tmp_path: Path) -> None:
    tree(tmp_path, {"sys/memory.max": "5\n", "sys/memory.current": "1\n"})
    tree(tmp_path, {"sys/fs/cgroup/a/b": "", "proc/self/cgroup": "0::/../..\n"})
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu,cpuacct/x": "", "cpu/cpu.cfs_quota_us": "-1\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({}, None),
    ],
)
def test_cpu_quota(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    assert cpu_quota(tree(tmp_path, {f"sys/fs/cgroup/{name}": files[name] for name in files})) == (
        expected
    )


def test_memory_is_the_smaller_of_system_and_limit(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   5 kB\nSwapTotal: 2 kB\n"})
    found = memory(tmp_path)
    assert (found.total, found.available, found.swap, found.free) == (9216, 5120, 2048, 5120)
    tree(
        tmp_path / "sys/fs/cgroup",
        {"memory.max": "3000\n", "memory.current": "1000\n", "memory.stat": "inactive_file 9000\n"},
    )
    assert memory(tmp_path).free == 3000


def test_memory_without_meminfo_is_that_of_the_machine(tmp_path: Path) -> None:
    found = memory(tmp_path)
    assert found.free == found.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


CPUINFO = "processor : 0\nmodel name\t: AMD EPYC 9B14\nflags\t\t: fpu avx2 avx512f amx_bf16\n"


def test_processor(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/cpuinfo": CPUINFO, "sys/fs/cgroup/cpu.max": "50000 100000\n"})
    found = processor(tmp_path)
    assert (found.model, found.quota, found.usable) == ("AMD EPYC 9B14", 0.5, 1)
    assert found.instructions == ("AVX2", "AVX-512", "AMX_BF16")
    assert processor(tmp_path / "nothing").instructions is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_those_that_the_process_may_use(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert (processor(tmp_path).allowed, processor(tmp_path).usable) == (1, 1)
    finally:
        os.sched_setaffinity(0, before)


CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build  (a@b)\n"


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "550.54.15"), (OPEN, "570.86.10")])
def test_driver(tmp_path: Path, text: str, version: str) -> None:
    tree(
        tmp_path,
        {
            "proc/driver/nvidia/version": text,
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nIRQ: 9\n",
            "dev/nvidia0": "",
            "dev/nvidiactl": "",
            "dev/nvidia-uvm": "",
        },
    )
    found = driver(tmp_path)
    assert found == Driver(version, ("NVIDIA H200",), 1)
    assert found.major == int(version[:3])


@pytest.mark.parametrize("name", ["dxg", "nvhost-gpu"])
def test_gpus_of_other_systems_have_no_version(tmp_path: Path, name: str) -> None:
    assert driver(tree(tmp_path, {f"dev/{name}": ""})) == Driver("", (), 1)


def test_no_driver(tmp_path: Path) -> None:
    assert driver(tmp_path) == Driver("", (), 0)
    assert driver(tmp_path).major is None


def test_folder_that_can_be_written_stays_as_it_was(tmp_path: Path) -> None:
    found = folder(tmp_path)
    assert (found.exists, found.readable, found.problem) == (True, True, "")
    assert found.free
    assert found.total
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_missing_is_judged_by_the_one_above(tmp_path: Path) -> None:
    found = folder(tmp_path / "a" / "b")
    assert (found.exists, found.readable, found.writable) == (False, False, True)
    (tmp_path / "file").write_text("")
    assert folder(tmp_path / "file" / "b").problem == "not a directory"


@pytest.mark.skipif(sys.platform == "win32", reason="a current folder cannot be removed there")
def test_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    found = folder(Path())
    assert (found.exists, found.problem, found.free) == (False, "no such file or directory", None)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Folder that this process can neither enter nor write, not even as root."""
    inside = tmp_path / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(54321)
        yield inside
        os.seteuid(0)
    else:
        yield inside
    inside.parent.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of POSIX")
def test_folder_that_is_out_of_reach(closed: Path) -> None:
    found = folder(closed)
    assert (found.exists, found.readable, found.problem) == (False, False, "permission denied")


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("overlay / overlay ro,relatime 0 0\nproc /proc proc rw 0 0\n", True),
        ("rootfs / rootfs ro 0 0\n/dev/vda / ext4 rw,errors=remount-ro 0 0\n", False),
        ("", None),
    ],
)
def test_read_only_root(tmp_path: Path, mounts: str, expected: bool | None) -> None:
    assert root_is_read_only(tree(tmp_path, {"proc/self/mounts": mounts})) is expected


def test_account_has_no_name() -> None:
    found = account({"USER": "jane"})
    assert found == Account(os.getuid(), found.has_entry, is_named=True)
    assert "jane" not in repr(found)
    assert not account({}).is_named
