"""Try to import the installed packages, each in a process that may end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from segkit.doctor.packages import MODULES, Packages

SECONDS = 180.0
"""Longest time that the imports may take."""
SIGNALS = {
    "SIGILL": "the processor lacks an instruction that it was built for",
    "SIGKILL": "the system ended it, as it does when memory runs out",
}
"""Meaning of signals that end an import."""


@dataclass(frozen=True)
class Imports:
    """Result of importing packages."""

    errors: dict[str, str]
    """Why a package cannot be imported, or "", by the name of the package."""
    torch: dict[str, Any] | None
    """Facts of `segkit.doctor.probe.torch_facts`; None if PyTorch cannot be imported."""


def try_imports(packages: Packages) -> Imports:
    """Import every installed package of segkit and its extras, PyTorch first."""
    parts = (packages.required, *packages.extras.values())
    names = {name: MODULES.get(name.lower(), name) for part in parts for name in part if part[name]}
    modules = sorted({*names.values(), "torch"}, key=lambda module: module != "torch")
    errors, torch = imported([_module_name(module) for module in modules])
    return Imports({name: errors[_module_name(names[name])] for name in names}, torch)


def _module_name(name: str) -> str:
    """Return the name of a module in its own spelling.

    >>> _module_name("simpleitk"), _module_name("torch")
    ('SimpleITK', 'torch')
    """
    return "SimpleITK" if name.lower() == "simpleitk" else name


def imported(
    modules: Sequence[str], *, seconds: float = SECONDS
) -> tuple[dict[str, str], dict[str, Any] | None]:
    """Return the error of each module ("" for none), and what PyTorch says.

    A module that ends the process gets the blame, and the others are imported in a new one.

    Args:
        modules: names of the modules.
        seconds: longest time of a process.
    """
    errors: dict[str, str] = {}
    torch = None
    while rest := [module for module in modules if module not in errors]:
        output, end = _run(rest, seconds)
        for line in _lines(output):
            torch = line.get("torch", torch)
            if "module" in line:
                errors[line["module"]] = line["error"]
        left = [module for module in rest if module not in errors]
        if left:
            errors[left[0]] = end or "the process ended"
    return errors, torch


def _run(modules: Sequence[str], seconds: float) -> tuple[str, str]:
    """Return what the process wrote, and how it ended: "" for a regular end."""
    command = [sys.executable, "-P", "-m", "segkit.doctor.probe", *modules]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace"), f"it took over {seconds:g} s"
    return done.stdout.decode(errors="replace"), end_of(done.returncode)


def end_of(code: int) -> str:
    """Return how a process ended, in words; "" for a regular end.

    >>> end_of(-11), end_of(0)
    ('it ended the process (SIGSEGV)', '')
    """
    if code == 0:
        return ""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return SIGNALS.get(name, "it ended the process") + f" ({name})"


def _lines(output: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of JSON among what libraries may print."""
    for line in output.splitlines():
        with suppress(ValueError):  # a library may print anything
            if line.startswith('{"'):
                yield json.loads(line)
