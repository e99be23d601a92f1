"""segkit study: many trainings that answer one question.

The module of a study is imported only when its name is typed.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.errors import UsageError

STUDIES: dict[str, tuple[str, str]] = {
    "cross_validation": (
        "train one model per fold, predict every case out of fold, make an ensemble",
        "segkit.commands.study_cross_validation",
    ),
    "normalization": (
        "train with different norms and batch sizes, compare Dice, seams, gradients and memory",
        "segkit.commands.study_normalization",
    ),
    "tickets": (
        "prune, rewind and train again (lottery tickets), with controls, over norms and seeds",
        "segkit.commands.study_tickets",
    ),
}
"""Name of each study, with what it does and the module whose ``run(arguments)`` does it."""

USAGE = "segkit study NAME DATASET [KEY=VALUE ...]        segkit study NAME --help for details"


def run(arguments: Sequence[str]) -> int:
    """List the studies, or run one, and return the exit code."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(help_text(), end="")
        return 0
    if name.startswith("-"):
        Parser("segkit study", USAGE, add_help=False).error(f"unrecognized arguments: {name}")
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Studies: {', '.join(STUDIES)}."
        raise UsageError(f"unknown study {name!r}. {hint}")
    return int(importlib.import_module(STUDIES[name][1]).run(rest))


def help_text() -> str:
    """Return the text that ``segkit study`` prints."""
    rows = "".join(f"  {name:<18}{text}\n" for name, (text, _) in STUDIES.items())
    return f"usage: {USAGE}\n\n{rows}"
