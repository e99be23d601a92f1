"""Choices by name: the files of configs/, and the networks of other packages."""

from __future__ import annotations

from pathlib import Path

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


def configs_folder() -> Path:
    """Return the folder configs/: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"
