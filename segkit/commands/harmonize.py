"""segkit harmonize: remove differences between scanners, sites and protocols.

The module of an action is imported only when its name is typed.
"""

from __future__ import annotations

from collections.abc import Sequence

from segkit.commands.subcommands import Subcommands

ACTIONS: dict[str, tuple[str, str]] = {
    "discover": (
        "find groups of scans by their intensities",
        "segkit.commands.harmonize_discover",
    ),
    "fit": (
        "fit a harmonization to the training scans of a dataset, or to a table",
        "segkit.commands.harmonize_fit",
    ),
    "apply": ("harmonize scans, or a table", "segkit.commands.harmonize_apply"),
    "report": (
        "show what a harmonization does to a dataset: densities, site classifiers, contrast",
        "segkit.commands.harmonize_report",
    ),
}
"""Name of each action, with what it does and the module whose ``run(arguments)`` does it."""

_COMMAND = Subcommands(
    prog="segkit harmonize",
    usage="segkit harmonize ACTION [...]        segkit harmonize ACTION --help for details",
    noun="action",
    plural="Actions",
    modules=ACTIONS,
)


def run(arguments: Sequence[str]) -> int:
    """List the actions, or run one, and return the exit code."""
    return _COMMAND.run(arguments)
