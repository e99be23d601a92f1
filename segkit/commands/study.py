"""segkit study: many trainings that answer one question.

The module of a study is imported only when its name is typed.
"""

from __future__ import annotations

from collections.abc import Sequence

from segkit.commands.subcommands import Subcommands

STUDIES: dict[str, tuple[str, str]] = {
    "cross_validation": (
        "train one model per fold, predict every case out of fold, make an ensemble",
        "segkit.commands.study_cross_validation",
    ),
    "normalization": (
        "train with different norms and batch sizes, compare Dice, seams, gradients and memory",
        "segkit.commands.study_normalization",
    ),
    "scaling": (
        "scale width, depth, patch and groups together within a budget, and compare",
        "segkit.commands.study_scaling",
    ),
    "scaling_search": (
        "search width, depth, patch and channels per group within a budget, with Optuna",
        "segkit.commands.study_scaling_search",
    ),
    "symmetry": (
        "train plain, augmented and equivariant networks on few and many cases, compare all poses",
        "segkit.commands.study_symmetry",
    ),
    "tickets": (
        "prune, rewind and train again (lottery tickets), with controls, over norms and seeds",
        "segkit.commands.study_tickets",
    ),
}
"""Name of each study, with what it does and the module whose ``run(arguments)`` does it."""

_COMMAND = Subcommands(
    prog="segkit study",
    usage="segkit study NAME DATASET [KEY=VALUE ...]        segkit study NAME --help for details",
    noun="study",
    plural="Studies",
    modules=STUDIES,
)


def run(arguments: Sequence[str]) -> int:
    """List the studies, or run one, and return the exit code."""
    return _COMMAND.run(arguments)
