"""Checks of what happens when the packages are imported, and of the GPUs that PyTorch sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segkit.doctor.imports import Imports
from segkit.doctor.package_checks import REINSTALL
from segkit.doctor.packages import Packages, TorchBuild
from segkit.doctor.problem import Problem, Severity
from segkit.errors import first_few
from segkit.machine.gpu import Driver
from segkit.units import size_text

ONLY_TRAINING = ("filelock", "hydra-core", "lightning", "matplotlib", "monai", "torchmetrics")
"""Required packages without which most predictions still work."""
LEAST_GPU = 1 << 30
"""Bytes of a GPU that a prediction takes, with the kernels of PyTorch."""


OUT_OF_MEMORY = ("MemoryError", "Cannot allocate memory", "failed to map segment", "SIGKILL")
"""Parts of errors that mean that memory has run out."""


def import_problems(imports: Imports, packages: Packages) -> Iterator[Problem]:
    """Yield a problem for each installed package that cannot be imported.

    If it was for lack of memory, the package is not to blame, and there is one problem for all.
    """
    failed = {name: error for name, error in imports.errors.items() if error}
    starved = [
        name for name, error in failed.items() if any(words in error for words in OUT_OF_MEMORY)
    ]
    if starved:
        yield Problem(
            "error",
            "import",
            first_few(starved),
            "enough memory to import it" if len(starved) == 1 else "enough memory to import them",
            f"that {failed[starved[0]]}",
            "Raise the limit of the container or job, or of the shell (ulimit -v unlimited).",
        )
    for name, error in failed.items():
        if name in starved:
            continue
        severity: Severity = "error"
        remedy = REINSTALL
        if name not in packages.required or name in ONLY_TRAINING:
            severity = "warning"
            part = "A training" if name in packages.required else "Its extra"
            remedy = f"{part} would stop, and most predictions would not. {REINSTALL}"
        yield Problem(
            severity, "import", name, "a package that can be imported", f"that {error}", remedy
        )


def gpu_problems(
    torch: Mapping[str, Any] | None, driver: Driver, build: TorchBuild | None
) -> Iterator[Problem]:
    """Yield a warning for each GPU that PyTorch cannot use, or that has little free memory."""
    if torch is None or build is None or not (build.cuda or build.hip):
        return
    if driver.devices and not torch["gpus"]:
        yield Problem(
            "warning",
            "gpu_unusable",
            "GPU",
            f"that PyTorch {build.version} can use it",
            torch["cuda_error"] or "that it sees no GPU",
            "Everything is computed on the CPU. Look at nvidia-smi and at CUDA_VISIBLE_DEVICES.",
        )
    for gpu in torch["gpus"]:
        yield from _problems_of(gpu, build)


def _problems_of(gpu: Mapping[str, Any], build: TorchBuild) -> Iterator[Problem]:
    if gpu["error"]:
        yield Problem(
            "warning",
            "gpu_fails",
            f"GPU {gpu['name']}",
            f"that PyTorch {build.version} computes on it",
            gpu["error"],
            f"Give predict --device cpu, or install a build of PyTorch for GPUs of compute"
            f" capability {gpu['capability']}.",
        )
    elif gpu["free"] < LEAST_GPU:
        yield Problem(
            "warning",
            "gpu_memory",
            f"GPU {gpu['name']}",
            f"at least {size_text(LEAST_GPU)} of its memory that are free",
            f"{size_text(gpu['free'])} of {size_text(gpu['total'])}",
            "A prediction then continues on the CPU. End other programs on the GPU (nvidia-smi), or"
            " give predict --device cpu.",
        )
