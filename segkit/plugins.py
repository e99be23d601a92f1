"""Networks and losses of other packages, by the names under which those packages offer them (docs/own_parts.md).

A package offers a part through an entry point when it is installed. Nothing else is ever imported by name: what a plan
or a bundle names is looked up here, and a part that no installed package offers is an error.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from segkit.errors import InputError

log = logging.getLogger(__name__)

NETWORKS, LOSSES = "segkit.networks", "segkit.losses"
"""Groups of entry points: builders (Plan) -> nn.Module, and () -> nn.Module of scores and labels."""
NAME = re.compile(r"\w[\w.-]*")
"""What a name may be, so that it can be typed as an override."""


def offered(group: str, own: Collection[str]) -> dict[str, EntryPoint]:
    """What installed packages offer in ``group``, by name. segkit's ``own`` names cannot be taken.

    Raises:
        InputError: two packages offer the same name.
    """
    found = [point for point in entry_points(group=group) if NAME.fullmatch(point.name)]
    for point in found:
        if point.name in own:
            log.warning(
                "%s offers %s in %s: not used, the name is segkit's own",
                package(point),
                point.name,
                group,
            )
    parts = [point for point in found if point.name not in own]
    for name, count in Counter(point.name for point in parts).items():
        if count > 1:
            packages = " and ".join(sorted(package(point) for point in parts if point.name == name))
            raise InputError(
                f"{name} in {group}",
                expected="one package that offers it",
                found=packages,
                remedy="Uninstall one.",
            )
    return {point.name: point for point in parts}


def load_part(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        InputError: its package cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # whatever that package does while it is imported
        raise InputError(
            f"{point.name} of {package(point)}",
            expected=f"{point.value} to be imported",
            found=f"{type(error).__name__}: {error}",
            remedy="Mend or reinstall that package.",
        ) from error


def package(point: EntryPoint) -> str:
    """Such as nets==1.0."""
    return f"{point.dist.name}=={point.dist.version}" if point.dist else "an unknown package"
