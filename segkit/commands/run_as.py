"""segkit run-as: segment the scans that a platform has put into a container.

The module of a platform is imported only when its name is typed.
"""

from __future__ import annotations

from collections.abc import Sequence

from segkit.commands.subcommands import Subcommands

PLATFORMS: dict[str, tuple[str, str]] = {
    "map": ("as a MONAI Application Package", "segkit.commands.run_as_map"),
    "xnat": ("in XNAT's container service", "segkit.commands.run_as_xnat"),
    "kaapana": ("as a processing container of Kaapana", "segkit.commands.run_as_kaapana"),
    "bids": ("as a BIDS App: BIDS_DIR OUTPUT_DIR participant", "segkit.commands.run_as_bids"),
    "grand-challenge": (
        "as an algorithm on grand-challenge.org",
        "segkit.commands.run_as_grand_challenge",
    ),
}
"""Name of each platform, with what it does and the module whose ``run(arguments)`` does it."""

_COMMAND = Subcommands(
    prog="segkit run-as",
    usage="segkit run-as PLATFORM [...]        segkit run-as PLATFORM --help for details",
    noun="platform",
    plural="Platforms",
    modules=PLATFORMS,
)


def run(arguments: Sequence[str]) -> int:
    """List the platforms, or segment as one of them asks, and return the exit code."""
    return _COMMAND.run(arguments)
