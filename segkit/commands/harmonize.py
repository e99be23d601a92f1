"""segkit harmonize: remove differences between scanners, sites and protocols.

The module of an action is imported only when its name is typed.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.errors import UsageError

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

USAGE = "segkit harmonize ACTION [...]        segkit harmonize ACTION --help for details"


def run(arguments: Sequence[str]) -> int:
    """List the actions, or run one, and return the exit code."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(help_text(), end="")
        return 0
    if name.startswith("-"):
        Parser("segkit harmonize", USAGE, add_help=False).error(f"unrecognized arguments: {name}")
    if name not in ACTIONS:
        near = difflib.get_close_matches(name, ACTIONS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Actions: {', '.join(ACTIONS)}."
        raise UsageError(f"unknown action {name!r}. {hint}")
    return int(importlib.import_module(ACTIONS[name][1]).run(rest))


def help_text() -> str:
    """Return the text that ``segkit harmonize`` prints."""
    rows = "".join(f"  {name:<10}{text}\n" for name, (text, _) in ACTIONS.items())
    return f"usage: {USAGE}\n\n{rows}"
