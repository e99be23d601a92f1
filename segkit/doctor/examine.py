"""Examine this machine: collect the facts, apply every check, choose a command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import segkit.doctor
from segkit.doctor.command import device_that_works, suggested_command
from segkit.doctor.facts import Facts, facts
from segkit.doctor.folder_checks import folder_problems
from segkit.doctor.gpu_checks import driver_problems
from segkit.doctor.import_checks import gpu_problems, import_problems
from segkit.doctor.imports import Imports, try_imports
from segkit.doctor.machine_checks import (
    account_problems,
    address_problems,
    clock_problems,
    is_filled,
    memory_problems,
    processor_problems,
    root_problems,
    shared_memory_problems,
)
from segkit.doctor.models import FoundModel, found_models, model_problems
from segkit.doctor.package_checks import package_problems
from segkit.doctor.packages import Packages, packages
from segkit.doctor.problem import Problem
from segkit.machine.system_files import ROOT

if TYPE_CHECKING:
    from segkit.inference.scan_cost import ScanCost

ORDER = ("error", "warning", "note")
MACHINE_CHECKS = (
    memory_problems,
    address_problems,
    processor_problems,
    folder_problems,
    shared_memory_problems,
    account_problems,
    clock_problems,
    root_problems,
)
"""Functions from the facts of a machine to its problems."""


@dataclass(frozen=True)
class Examination:
    """Facts about a machine and its models, and the problems."""

    quick: bool
    """True if nothing was imported and no weights were read."""
    facts: Facts
    packages: Packages
    imports: Imports | None
    """Result of importing the packages; None if they were not imported."""
    models: Sequence[FoundModel]
    costs: Sequence[ScanCost | None]
    """Cost of a scan with each model; None where it is unknown."""
    problems: Sequence[Problem]
    """The worst first."""
    command: str
    """Command for a prediction on this machine; "" if an error would stop it."""

    @property
    def gpus(self) -> list[dict[str, Any]]:
        """GPUs that PyTorch sees; none if it was not imported."""
        return list(self.imports.torch["gpus"]) if self.imports and self.imports.torch else []

    @property
    def can_predict(self) -> bool:
        """True if no problem is an error."""
        return not any(problem.severity == "error" for problem in self.problems)


def examine(
    wanted: Sequence[str] = (),
    *,
    quick: bool = False,
    root: Path = ROOT,
    environment: Mapping[str, str] = os.environ,
) -> Examination:
    """Examine this machine and the models on it.

    Args:
        wanted: models as -m takes them; none for all that are found by name.
        quick: look only at what takes a second in all.
        root: folder that stands for / in the files of the system.
        environment: environment variables.
    """
    here, installed = facts(root, environment), packages()
    models: Sequence[FoundModel] = found_models(wanted, environment, hashed=not quick)
    costs: Sequence[ScanCost | None] = [None for _ in models]
    found = list(_machine_problems(here, installed, quick=quick))
    imports = None if quick else try_imports(installed)
    if imports:
        found += import_problems(imports, installed)
        if not any(problem.name == "driver_too_old" for problem in found):
            found += gpu_problems(imports.torch, here.driver, installed.torch)
    device = device_that_works(found)
    if imports and imports.torch and not any(problem.severity == "error" for problem in found):
        trials = list(segkit.doctor.tried(models, device, here.memory.free))
        models, costs = [model for model, _ in trials], [cost for _, cost in trials]
    found += model_problems(models)
    problems = sorted(found, key=lambda problem: ORDER.index(problem.severity))
    stopped = any(problem.severity == "error" for problem in problems)
    command = "" if stopped else suggested_command(here, models, device)
    return Examination(quick, here, installed, imports, models, costs, problems, command)


def _machine_problems(here: Facts, installed: Packages, *, quick: bool) -> Iterator[Problem]:
    yield from package_problems(installed)
    for check in MACHINE_CHECKS:
        for problem in check(here):
            # A container whose own training or prediction fills its memory is not unhealthy.
            is_passing = quick and problem.name == "memory" and is_filled(here.memory)
            yield replace(problem, severity="warning") if is_passing else problem
    yield from driver_problems(here, installed.torch)
