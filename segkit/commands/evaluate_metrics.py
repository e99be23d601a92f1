"""Flags of segkit evaluate that switch on further metrics, and the definitions in its help."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from segkit.commands.flags import Parser
from segkit.errors import UsageError
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import ALWAYS, FAMILIES, RULES, Family, definitions
from segkit.report.tables import Cell, text_table

LINE = 100
"""Length of a line of the help."""


def add_metric_flags(parser: Parser) -> None:
    """Add a flag for each family of metrics that is not always measured."""
    parser.add_argument(
        "--lesions",
        action="store_true",
        help="also count found, missed and false lesions (connected components, also at corners) of"
        " each label, and their F1",
    )
    parser.add_argument(
        "--lesion-iou",
        type=float,
        metavar="T",
        help="with --lesions: pair each lesion with one predicted one of at least this IoU"
        " (default: a lesion is found if it shares a voxel with the prediction)",
    )
    parser.add_argument(
        "--subvoxel",
        action="store_true",
        help="also measure distances between surfaces that pass between voxels, weighted by area,"
        " as DeepMind's surface-distance does",
    )
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="also measure whether the probabilities beside the predictions (predict"
        " --probabilities) say how often a label is right",
    )


def families_of(given: argparse.Namespace) -> list[Family]:
    """Return the families of metrics that the flags switch on.

    Raises:
        UsageError: --lesion-iou without --lesions.
    """
    if given.lesion_iou is not None and not given.lesions:
        raise UsageError("--lesion-iou says when --lesions match: add that, or leave it out")
    return [family for family in FAMILIES if family not in ALWAYS and getattr(given, family)]


def metric_lines() -> str:
    """Return the definitions of the metrics and their rules as lines of at most 100 characters."""
    parts = [_definitions(ALWAYS)]
    parts += [f"with --{family}:\n{_definitions([family])}" for family in FAMILIES[1:]]
    without_spacing = (
        "For pictures without spacing, distances and volumes are in px instead of mm and ml."
    )
    return "\n\n".join([*parts, textwrap.fill(f"{RULES} {without_spacing}", LINE)])


def lesion_table(evaluation: Evaluation) -> str:
    """Return the numbers of lesions of all cases as a table; "" if they were not counted."""
    found: dict[str, Any] = evaluation.summary.get("lesions", {}).get("labels", {})
    rows: list[list[Cell]] = [
        [label, numbers["found"], numbers["missed"], numbers["false"], numbers["f1"]]
        for label, numbers in found.items()
    ]
    return text_table(["label", "found", "missed", "false", "f1"], rows) if rows else ""


def _definitions(families: list[Family] | tuple[Family, ...]) -> str:
    entries = definitions("--tolerance-mm", families=families)
    width = max(map(len, entries)) + 2
    return "\n".join(
        textwrap.fill(
            f"{name:<{width}}{text}", LINE, subsequent_indent=" " * width, break_on_hyphens=False
        )
        for name, text in entries.items()
    )
