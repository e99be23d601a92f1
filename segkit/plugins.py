"""Networks and losses of other packages, found by name (docs/own_parts.md).

An installed package offers a network or a loss through an entry point. Nothing else is ever
imported by name: the names in a plan or a bundle are looked up here, and a name that no installed
package offers is an error.
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
"""Groups of entry points: functions (Plan) -> network, and () -> loss of scores and labels."""
NAME = re.compile(r"\w[\w.-]*")
"""Pattern of the names that can be typed as an override."""


def offered(group: str, built_in: Collection[str]) -> dict[str, EntryPoint]:
    """Return the entry points of installed packages in a group, by name.

    Args:
        group: `NETWORKS` or `LOSSES`.
        built_in: names of segkit's own networks or losses. No package can replace one; a package
            that tries to is named in a warning.

    Raises:
        InputError: two packages offer the same name.
    """
    points = [point for point in entry_points(group=group) if NAME.fullmatch(point.name)]
    for point in points:
        if point.name in built_in:
            log.warning(
                "%s offers %s in %s: it is not used, because segkit has its own of this name",
                package(point),
                point.name,
                group,
            )
    parts = [point for point in points if point.name not in built_in]
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
    """Import the object that an entry point names.

    Raises:
        InputError: its package cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # an import may raise anything
        raise InputError(
            f"{point.name} of {package(point)}",
            expected=f"{point.value} to be imported",
            found=f"{type(error).__name__}: {error}",
            remedy="Repair or reinstall that package.",
        ) from error


def package(point: EntryPoint) -> str:
    """Return name and version of the package with this entry point, such as ``nets==1.0``."""
    return f"{point.dist.name}=={point.dist.version}" if point.dist else "an unknown package"
