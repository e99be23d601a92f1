"""Checks of NVIDIA's driver against the build of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.doctor.facts import Facts
from segkit.doctor.packages import TorchBuild
from segkit.doctor.problem import Problem

OLDEST_DRIVER = {"11": 450, "12": 525, "13": 580}
"""Oldest driver on Linux for each CUDA, by their first numbers.

From NVIDIA's table "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version
Compatibility" (release notes of the CUDA Toolkit).
"""
INSTALL = "pytorch.org/get-started lists the command for each CUDA."


def driver_problems(facts: Facts, build: TorchBuild | None) -> Iterator[Problem]:
    """Yield a problem where a GPU is there or expected, and PyTorch cannot use it."""
    driver = facts.driver
    if build is None or build.hip or not facts.system.startswith("Linux"):
        return  # elsewhere the driver leaves no files to read
    if not driver.version and not driver.devices:
        if build.cuda:
            yield _without_driver(build)
    elif not driver.devices and build.cuda:
        yield _not_handed_over(len(driver.gpus))
    elif driver.devices and not build.cuda:
        yield _cpu_build(build)
    elif driver.devices:
        yield from _too_old(facts, build)


def _without_driver(build: TorchBuild) -> Problem:
    return Problem(
        "note",
        "no_driver",
        "GPU",
        f"NVIDIA's driver, because PyTorch was built for CUDA {build.cuda}",
        "none",
        "Everything is computed on the CPU. If this machine has an NVIDIA GPU, install the driver;"
        " in a container, on its host.",
    )


def _not_handed_over(count: int) -> Problem:
    gpus = "1 GPU" if count == 1 else f"{count or 'some'} GPUs"
    return Problem(
        "warning",
        "gpu_not_handed_over",
        "GPU",
        "a file /dev/nvidia0",
        f"a driver with {gpus}, but no such file",
        "Everything is computed on the CPU. Hand the GPU to the container: docker run --gpus all,"
        " podman run --device nvidia.com/gpu=all, apptainer exec --nv; in a job of SLURM --gpus=1.",
    )


def _cpu_build(build: TorchBuild) -> Problem:
    return Problem(
        "warning",
        "cpu_build",
        "GPU",
        "a build of PyTorch for CUDA, because there is an NVIDIA GPU",
        f"PyTorch {build.version}, a build for CPUs",
        f"Everything is computed on the CPU. Install a build for CUDA: {INSTALL} For containers,"
        " take the image for CUDA.",
    )


def _too_old(facts: Facts, build: TorchBuild) -> Iterator[Problem]:
    oldest = OLDEST_DRIVER.get(build.cuda.partition(".")[0])
    major = facts.driver.major
    if oldest is None or major is None or major >= oldest:
        return
    yield Problem(
        "warning",
        "driver_too_old",
        "GPU",
        f"driver {oldest} or newer, for PyTorch {build.version} with CUDA {build.cuda}",
        f"driver {facts.driver.version}",
        "Everything is computed on the CPU. Update the driver, or install a build of PyTorch for"
        f" an older CUDA: {INSTALL}",
    )
