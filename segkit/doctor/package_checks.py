"""Checks of the installed packages."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.doctor.packages import Packages
from segkit.doctor.problem import Problem

REINSTALL = "Install segkit again into an empty environment: pip install segkit."


def package_problems(packages: Packages) -> Iterator[Problem]:
    """Yield an error for each required package that is missing, and notes for half an extra."""
    missing = [name for name, version in packages.required.items() if not version]
    if packages.torch is None and "torch" not in missing:
        missing.append("torch")
    for name in missing:
        yield Problem("error", "packages", name, "an installed package", "none", REINSTALL)
    for extra, versions in packages.extras.items():
        lacking = [name for name, version in versions.items() if not version]
        if lacking and len(lacking) < len(versions):
            yield Problem(
                "note",
                "extras",
                f"extra {extra}",
                f"all packages of segkit[{extra}]",
                f"that {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing",
                f"If you need it: pip install 'segkit[{extra}]'.",
            )
