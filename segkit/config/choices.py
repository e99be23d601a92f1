"""Choices by name: the files of configs/, and the networks of other packages."""

from __future__ import annotations

import difflib
from pathlib import Path

from segkit.errors import UsageError
from segkit.plans.network_catalogue import plugin_networks


def choices(group: str) -> list[str]:
    """Return the names that ``group=`` (network, compute, preset) takes, sorted."""
    names = own_choices(group)
    if group == "network":
        names += plugin_networks()
    return sorted(names)


def own_choices(group: str) -> list[str]:
    """Return the names of the files in configs/GROUP, sorted."""
    return sorted(file.stem for file in (configs_folder() / group).glob("*.yaml"))


def known_choice(group: str, name: str) -> str:
    """Return ``name`` if it is one of the choices of ``group``.

    Raises:
        UsageError: ``name`` is not a choice; the message names similar ones.
    """
    # segkit's own choices come first: searching other packages takes a tenth of a second.
    if name in own_choices(group) or name in choices(group):
        return name
    near = difflib.get_close_matches(name, choices(group), n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"unknown choice {group}={name}. {hint}Choices: {', '.join(choices(group))}.")


def configs_folder() -> Path:
    """Return the folder configs/: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"
