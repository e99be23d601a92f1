"""Examine this machine: collect the facts, apply every check, choose a command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.doctor.command import suggested_command
from segkit.doctor.facts import Facts, facts
from segkit.doctor.folder_checks import folder_problems
from segkit.doctor.gpu_checks import driver_problems
from segkit.doctor.machine_checks import (
    account_problems,
    clock_problems,
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

ORDER = ("error", "warning", "note")
MACHINE_CHECKS = (
    memory_problems,
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
    models: Sequence[FoundModel]
    problems: Sequence[Problem]
    """The worst first."""
    command: str
    """Command for a prediction on this machine; "" if an error would stop it."""

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
    models = found_models(wanted, environment, hashed=not quick)
    problems = sorted(
        _problems(here, installed, models), key=lambda problem: ORDER.index(problem.severity)
    )
    stopped = any(problem.severity == "error" for problem in problems)
    command = "" if stopped else suggested_command(here, models)
    return Examination(quick, here, installed, models, problems, command)


def _problems(here: Facts, installed: Packages, models: Sequence[FoundModel]) -> Iterator[Problem]:
    yield from package_problems(installed)
    for check in MACHINE_CHECKS:
        yield from check(here)
    yield from driver_problems(here, installed.torch)
    yield from model_problems(models)
