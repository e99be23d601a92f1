"""Folder of segkit evaluate -o: what it may replace, and the files that are written there."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.commands.flags import Parser
from segkit.errors import UsageError
from segkit.evaluation import Evaluation
from segkit.files.report_folder import check_report_folder
from segkit.report.comparison_page import FILES as COMPARISON_FILES
from segkit.report.evaluation_groups import GROUPS, write_groups
from segkit.report.evaluation_page import FILES, ReportOptions, write_evaluation

log = logging.getLogger(__name__)


def add_output_flags(parser: Parser) -> None:
    """Add -o and --overwrite."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for metrics.csv, cases.csv, summary.json and report.html; the same call "
        "renews them, and files of another call are not replaced",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of another evaluation or command in the folder of -o",
    )


def check_output(given: argparse.Namespace) -> None:
    """Check the folder of -o before anything is measured.

    Raises:
        UsageError: it holds files of another command or of other inputs, or --overwrite is given
            without it.
    """
    if given.output is None:
        if given.overwrite:
            raise UsageError("--overwrite is about the files of -o: add that, or leave it out")
        return
    names, record = (*FILES, *([GROUPS] if given.by else [])), "summary.json"
    inputs = {"predictions": given.predictions, "references": given.references}
    if given.compare:
        names, record = COMPARISON_FILES, "comparison.json"
        inputs = {"a": given.compare[0], "b": given.predictions, "references": given.references}
    _check_tables(given, names)
    check_report_folder(
        given.output,
        names,
        record=record,
        inputs=inputs,
        if_recorded={GROUPS: "groups"},
        overwrite=given.overwrite,
    )


def _check_tables(given: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise a UsageError if a table that the user gives would be replaced by one of the report."""
    written = {(given.output / name).resolve() for name in names}
    for table in (given.groups, given.patients):
        if table is not None and table.resolve() in written:
            raise UsageError(
                f"{table} would be replaced by the report. Give another folder with -o"
            )


def write_files(evaluation: Evaluation, folder: Path, options: ReportOptions) -> None:
    """Write the files of an evaluation, and print their paths."""
    names = ("numbers:", "cases:", "means:", "report:")
    for name, path in zip(names, write_evaluation(evaluation, folder, options), strict=True):
        print(f"{name:<9}{path}")
    groups = folder / GROUPS
    if "groups" in evaluation.summary:
        print(f"groups:  {write_groups(evaluation, folder)}")
    elif groups.exists():
        log.warning(
            "%s is not of this call, and is left as it is; --by with --overwrite replaces it",
            groups,
        )
