"""Descriptors of all platforms, by the name of the platform and of the part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from segkit.platforms import bids_app, grand_challenge, kaapana, map_package, xnat
from segkit.platforms.facts import Facts


@dataclass(frozen=True)
class Part:
    """Text that a platform reads."""

    make: Callable[[Facts], str]
    """Function that returns it."""
    where: str
    """Place where the platform looks for it."""


DESCRIPTORS: Mapping[str, Mapping[str, Part]] = {
    "map": {
        "app": Part(map_package.app_json, "/etc/holoscan/app.json"),
        "pkg": Part(map_package.pkg_json, "/etc/holoscan/pkg.json"),
        "dockerfile": Part(map_package.dockerfile, "Dockerfile"),
    },
    "xnat": {
        "label": Part(xnat.label, "label org.nrg.commands"),
        "command": Part(xnat.command, "page of a new command"),
    },
    "kaapana": {"container": Part(kaapana.processing_container, "/processing-container.json")},
    "bids": {"boutiques": Part(bids_app.boutiques, "descriptor for bosh")},
    "grand-challenge": {"dockerfile": Part(grand_challenge.dockerfile, "Dockerfile")},
}
"""Parts of each platform's descriptor; the first one is printed unless another is asked for."""
