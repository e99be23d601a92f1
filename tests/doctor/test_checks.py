"""Each problem that segkit doctor finds on a machine: when, how severe, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.doctor.command import device_that_works, suggested_command
from segkit.doctor.examine import MACHINE_CHECKS, _machine_problems
from segkit.doctor.facts import Facts, facts
from segkit.doctor.gpu_checks import driver_problems
from segkit.doctor.import_checks import gpu_problems, import_problems
from segkit.doctor.imports import Imports
from segkit.doctor.machine_checks import LEAST_MEMORY, is_filled
from segkit.doctor.models import FoundModel
from segkit.doctor.package_checks import package_problems
from segkit.doctor.packages import MODULES, Packages, TorchBuild, packages
from segkit.doctor.problem import Problem
from segkit.machine.account import Account
from segkit.machine.cgroup import MemoryLimit
from segkit.machine.folders import Folder
from segkit.machine.gpu import Driver
from segkit.machine.memory import Memory
from segkit.machine.processor import Processor

GIB = 1 << 30
GOOD = Folder(exists=True, readable=True, problem="", total=100 * GIB, free=50 * GIB)
CLOSED = replace(GOOD, problem="read-only file system")
CPU = Processor("a processor", "x86_64", 8, 8, None, ("AVX2",))
SOUND = Facts(
    python="3.11.7",
    system="Linux 6.8",
    processor=CPU,
    threads=8,
    memory=Memory(16 * GIB, 8 * GIB, 0, None),
    driver=Driver("", (), 0),
    shared_memory=replace(GOOD, free=64 << 20),
    folders={"current": GOOD, "temporary": GOOD, "home": GOOD, "runs": replace(GOOD, exists=False)},
    root_is_read_only=False,
    account=Account(1000, has_entry=True, is_named=False),
    seconds_behind=0.0,
)
GPU = Driver("570.86.10", ("NVIDIA H200",), 1)
CUDA = TorchBuild("2.13.0+cu128", "12.8")


def said(machine: Facts, build: TorchBuild | None = None) -> list[tuple[str, str, str]]:
    """Return severity, name and text of every problem of a machine."""
    found = [problem for check in MACHINE_CHECKS for problem in check(machine)]
    found += driver_problems(machine, build)
    return [(problem.severity, problem.name, problem.text) for problem in found]


def test_a_sound_machine_has_no_problem() -> None:
    assert said(SOUND, TorchBuild("2.13.0+cpu", "")) == []
    assert said(replace(SOUND, driver=GPU, shared_memory=GOOD), CUDA) == []


def test_a_container_with_little_memory(tmp_path: Path) -> None:
    for name, text in {
        "proc/meminfo": "MemTotal: 65536000 kB\nMemAvailable: 32768000 kB\n",
        "sys/fs/cgroup/memory.max": f"{LEAST_MEMORY}\n",
        "sys/fs/cgroup/memory.current": f"{LEAST_MEMORY // 2}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    memory = facts(tmp_path).memory
    assert said(replace(SOUND, memory=memory)) == [
        (
            "error",
            "memory",
            "memory: expected at least 419.4 MB that are free, found 209.7 MB, below the limit of"
            " 419.4 MB. Raise the limit of the container or job (docker run --memory, #SBATCH"
            " --mem).",
        )
    ]


CASES: dict[str, tuple[dict[str, object], str, str, Sequence[str]]] = {
    "little memory": (
        {"memory": Memory(GIB, GIB // 4, 0, None)},
        "error",
        "memory",
        ["found 268.4 MB. Close other programs"],
    ),
    "a limit of addresses": (
        {"memory": Memory(GIB, GIB, 0, None, 10**9)},
        "warning",
        "address_space",
        ["no limit of the address space (ulimit -v), or one of 4.3 GB, found 1.0 GB", "unlimited"],
    ),
    "a share of the cores": (
        {"processor": replace(CPU, quota=2.5)},
        "warning",
        "cpu_limit",
        ["at the same time, 2, found 8 threads of PyTorch", "--threads 2", "OMP_NUM_THREADS=2"],
    ),
    "an old processor": (
        {"processor": replace(CPU, instructions=())},
        "warning",
        "cpu_instructions",
        ["the instructions AVX2, or NEON on ARM, found neither", "Use a newer machine"],
    ),
    "no name": (
        {"account": Account(54321, has_entry=False, is_named=False)},
        "warning",
        "user_name",
        ["an entry for the user number 54321", "Set USER=segkit"],
    ),
    "an old clock": (
        {"seconds_behind": 172800.0},
        "warning",
        "clock",
        ["found a time 2.0 days before that", "Set the clock"],
    ),
    "a read-only root": (
        {"root_is_read_only": True},
        "note",
        "read_only_root",
        ["found a read-only mount", "tmpfs on /tmp"],
    ),
    "a current folder that is read-only": (
        {"folders": {**SOUND.folders, "current": CLOSED}},
        "warning",
        "current_folder",
        ["current folder: expected a folder that can be written, found read-only", "-o OUT"],
    ),
    "no temporary folder": (
        {"folders": {**SOUND.folders, "temporary": CLOSED}},
        "warning",
        "temporary_folder",
        ["temporary folder: expected", "TMPDIR", "tmpfs on /tmp"],
    ),
    "little disk": (
        {"folders": {**SOUND.folders, "current": replace(GOOD, free=10**6)}},
        "warning",
        "current_folder",
        ["1.1 GB of free disk, found 1.0 MB. Free some space"],
    ),
    "runs of another user": (
        {"folders": {**SOUND.folders, "runs": CLOSED}},
        "warning",
        "runs_folder",
        ["folder runs: expected", "run_dir=PATH"],
    ),
    "a closed home": (
        {"folders": {**SOUND.folders, "home": CLOSED}},
        "note",
        "home_folder",
        ["Set HOME"],
    ),
    "no home": (
        {"folders": {"current": GOOD, "temporary": GOOD, "runs": GOOD}},
        "note",
        "home_folder",
        ["expected the variable HOME, found none"],
    ),
    "models that are not mounted": (
        {"folders": {**SOUND.folders, "models_2": replace(GOOD, exists=False, readable=False)}},
        "warning",
        "models_folder",
        ["folder 2 of $SEGKIT_MODELS: expected a folder that can be read, found no such", "mount"],
    ),
    "models of another user": (
        {"folders": {**SOUND.folders, "models_1": replace(GOOD, readable=False)}},
        "warning",
        "models_folder",
        ["found one that this user may not open"],
    ),
    "little shared memory with a GPU": (
        {"driver": GPU},
        "warning",
        "shared_memory",
        ["/dev/shm", "found 67.1 MB that are free", "--shm-size 2g", "trainer.workers=0"],
    ),
    "no driver": ({}, "note", "no_driver", ["CUDA 12.8, found none", "on its host"]),
    "a GPU that was not handed over": (
        {"driver": replace(GPU, devices=0)},
        "warning",
        "gpu_not_handed_over",
        ["/dev/nvidia0, found a driver with 1 GPU, but no such file", "docker run --gpus all"],
    ),
    "an old driver": (
        {"driver": replace(GPU, version="470.256.02"), "shared_memory": GOOD},
        "warning",
        "driver_too_old",
        ["driver 525 or newer, for PyTorch 2.13.0+cu128 with CUDA 12.8, found driver 470.256.02"],
    ),
}


@pytest.mark.parametrize(("change", "severity", "name", "words"), CASES.values(), ids=CASES)
def test_problem(change: dict[str, object], severity: str, name: str, words: Sequence[str]) -> None:
    machine = replace(SOUND, **change)  # type: ignore[arg-type]
    build = CUDA if name in ("no_driver", "gpu_not_handed_over") or "driver" in change else None
    ((found_severity, found_name, text),) = said(machine, build)
    assert (found_severity, found_name) == (severity, name)
    for part in words:
        assert part in text


def test_a_gpu_and_a_build_for_cpus() -> None:
    machine = replace(SOUND, driver=GPU, shared_memory=GOOD)
    ((severity, name, text),) = said(machine, TorchBuild("2.13.0+cpu", ""))
    assert (severity, name) == ("warning", "cpu_build")
    assert "found PyTorch 2.13.0+cpu, a build for CPUs. Everything is computed on the CPU" in text


def test_a_driver_of_an_unknown_cuda_is_not_judged() -> None:
    machine = replace(SOUND, driver=GPU, shared_memory=GOOD)
    assert said(machine, TorchBuild("3.0", "99.1")) == []
    assert said(machine, None) == []


def test_builds_and_systems_that_are_not_judged() -> None:
    cpu, rocm = TorchBuild("2.13.0+cpu", ""), TorchBuild("2.13.0+rocm7", "", "7.0")
    hidden = replace(SOUND, driver=replace(GPU, devices=0))
    assert said(hidden, cpu) == []  # an image for CPUs on a host with a GPU
    assert said(replace(SOUND, driver=GPU, shared_memory=GOOD), rocm) == []
    assert said(replace(SOUND, system="Windows 11"), CUDA) == []


def test_threads_are_those_that_were_asked_for(tmp_path: Path) -> None:
    assert facts(tmp_path, {"OMP_NUM_THREADS": "3"}).threads == 3
    assert facts(tmp_path, {"OMP_NUM_THREADS": "0"}).threads == facts(tmp_path).processor.allowed
    few = replace(SOUND, processor=replace(CPU, quota=2.5), threads=2)
    assert said(few) == []


def test_packages_of_this_environment() -> None:
    found = packages()
    assert found.torch is not None
    assert found.torch.version.split("+")[0] == found.required["torch"].split("+")[0]
    assert set(found.extras) >= {"dicom", "wsi", "openvino"}
    assert not {"dev", "docs"} & set(found.extras)
    assert set(MODULES) <= {name.lower() for name in found.required} | set(found.extras["dicom"])
    assert packages("no-such-package").required == {}


def test_missing_packages() -> None:
    installed = Packages(
        {"numpy": "2.0", "edt": ""},
        {"dicom": {"pydicom": "3", "highdicom": ""}, "wsi": {"t": ""}},
        None,
    )
    problems = [(problem.severity, problem.text) for problem in package_problems(installed)]
    again = "Install segkit again into an empty environment: pip install segkit."
    assert problems == [
        ("error", f"edt: expected an installed package, found none. {again}"),
        ("error", f"torch: expected an installed package, found none. {again}"),
        (
            "note",
            "extra dicom: expected all packages of segkit[dicom], found that highdicom is missing."
            " If you need it: pip install 'segkit[dicom]'.",
        ),
    ]


def imports(**errors: str) -> Imports:
    return Imports(errors, {"threads": 1, "cuda_error": "", "gpus": []})


def test_packages_that_cannot_be_imported() -> None:
    installed = Packages({"edt": "3", "monai": "1"}, {"wsi": {"tifffile": "1"}}, CUDA)
    broken = "ImportError: x.so: undefined symbol"
    problems = import_problems(imports(edt=broken, monai=broken, tifffile=broken, os=""), installed)
    assert [(problem.severity, problem.text.partition(". ")[2][:12]) for problem in problems] == [
        ("error", "Install segk"),
        ("warning", "A training w"),
        ("warning", "Its extra wo"),
    ]


def test_packages_without_memory_are_one_problem() -> None:
    starved = imports(edt="MemoryError: no message", numpy="x.so: failed to map segment")
    (problem,) = import_problems(starved, Packages({"edt": "3", "numpy": "2"}, {}, CUDA))
    assert problem.text == (
        "edt, numpy: expected enough memory to import them, found that MemoryError: no message."
        " Raise the limit of the container or job, or of the shell (ulimit -v unlimited)."
    )


H200 = {"name": "NVIDIA H200", "capability": "9.0", "total": 10**11, "free": 10**10, "error": ""}


@pytest.mark.parametrize(
    ("torch", "name", "words", "device"),
    [
        ({"gpus": [H200], "cuda_error": ""}, "", "", "auto"),
        (
            {"gpus": [], "cuda_error": "RuntimeError: no CUDA-capable device is detected"},
            "gpu_unusable",
            "found RuntimeError: no CUDA-capable device is detected. Everything",
            "auto",
        ),
        ({"gpus": [], "cuda_error": ""}, "gpu_unusable", "found that it sees no GPU", "auto"),
        (
            {"gpus": [{**H200, "error": "RuntimeError: no kernel image", "free": None}]},
            "gpu_fails",
            "NVIDIA H200: expected that PyTorch 2.13.0+cu128 computes on it, found RuntimeError: no"
            " kernel image. Give predict --device cpu, or install a build of PyTorch for GPUs of"
            " compute capability 9.0.",
            "cpu",
        ),
        (
            {"gpus": [{**H200, "free": 10**8}]},
            "gpu_memory",
            "at least 1.1 GB of its memory that are free, found 100.0 MB of 100.0 GB",
            "cpu",
        ),
    ],
)
def test_gpus_as_pytorch_sees_them(
    torch: dict[str, object], name: str, words: str, device: str
) -> None:
    problems = list(gpu_problems(torch, GPU, CUDA))
    assert [problem.name for problem in problems] == ([name] if name else [])
    assert words in "".join(problem.text for problem in problems)
    assert device_that_works(problems) == device
    assert ("--device cpu" in suggested_command(SOUND, [], device)) == (device == "cpu")
    assert list(gpu_problems(torch, GPU, TorchBuild("2", ""))) == []


def test_the_command_has_only_flags_that_help() -> None:
    assert suggested_command(SOUND, []) == "segkit predict SCAN -m MODEL"
    gone = FoundModel("runs/latest", True, None, True, (), False, Problem("warning", *"abcde"))
    sound = FoundModel("liver", True, None, False, (), False, None)
    assert suggested_command(SOUND, [gone, sound]) == "segkit predict SCAN -m liver"
    unnamed, default = replace(sound, is_named=False), replace(sound, is_default=True)
    assert suggested_command(SOUND, [unnamed]) == "segkit predict SCAN -m MODEL"
    assert suggested_command(SOUND, [default]) == "segkit predict SCAN"
    folders = {**SOUND.folders, "current": CLOSED}
    limited = replace(SOUND, processor=replace(CPU, quota=2.0), folders=folders)
    assert suggested_command(limited, []) == "segkit predict SCAN -o OUT -m MODEL --threads 2"


def test_memory_that_is_filled_for_now() -> None:
    """The health check of a container that computes does not fail because of that."""
    limit = MemoryLimit(4 * GIB, 4 * GIB)
    assert is_filled(Memory(16 * GIB, 8 * GIB, 0, limit))
    assert not is_filled(Memory(16 * GIB, 8 * GIB, 0, MemoryLimit(LEAST_MEMORY - 1, 0)))


@pytest.mark.parametrize(("quick", "severity"), [(True, "warning"), (False, "error")])
def test_filled_memory_is_a_warning_of_the_quick_form(*, quick: bool, severity: str) -> None:
    here = replace(SOUND, memory=Memory(16 * GIB, GIB // 8, 0, None))
    installed = Packages({}, {}, TorchBuild("2.13.0+cpu", ""))
    (problem,) = _machine_problems(here, installed, quick=quick)
    assert (problem.name, problem.severity) == ("memory", severity)


def test_threads_of_another_script(tmp_path: Path) -> None:
    """A digit that is no number must not stop the command."""
    here = facts(tmp_path, {"OMP_NUM_THREADS": "\u00b2"})
    assert here.threads == here.processor.allowed
