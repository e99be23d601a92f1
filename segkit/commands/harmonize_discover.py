"""segkit harmonize discover: find groups of scans by their intensities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segkit.commands.flags import Parser
from segkit.commands.harmonize_groups import open_cases
from segkit.errors import UsageError, printable
from segkit.files.atomic import write_text
from segkit.harmonization.methods import standardized
from segkit.harmonization.mixture import discover, most_likely
from segkit.harmonization.values import ChannelValues
from segkit.planning.harmonization import measured_values
from segkit.report.tables import Cell, csv_text, text_table

OUTSIDE = "(none)"
"""Group in the table of a scan that lies outside of all groups."""


def run(arguments: Sequence[str]) -> int:
    """Print a table of the groups, write the group of each case, and return the exit code."""
    given = _parser().parse_args(arguments)
    if given.overwrite and given.output is None:
        raise UsageError("--overwrite is for the file of -o: add that, or leave it out")
    check_new(given.output, given.dataset, overwrite=given.overwrite)
    dataset = open_cases(given.dataset)
    values = measured_values(dataset.cases, dataset.channels)
    mixture = discover(values)
    groups = [most_likely(mixture, own) or OUTSIDE for own in values]
    header = ["group", "cases", *(f"median of {name}" for name in dataset.channels)]
    rows = _rows(groups, values)
    print(printable(text_table(header, rows), lines=True))
    if given.output:
        named = zip((case.id for case in dataset.cases), groups, strict=True)
        rows_of_cases = [(case, "" if group == OUTSIDE else group) for case, group in named]
        write_text(given.output, csv_text(["case", "group"], rows_of_cases))
        print(f"\nThe group of each case is in {given.output}.")
    return 0


def check_new(path: Path | None, *inputs: str | Path | None, overwrite: bool) -> None:
    """Check that an output is no input and does not exist, unless it may be overwritten.

    Args:
        path: the output; None if there is none.
        inputs: files that the call reads; None for those that are not given.
        overwrite: whether another file there may be replaced.

    Raises:
        UsageError: it is an input, or exists.
    """
    if path is not None and path.resolve() in [Path(each).resolve() for each in inputs if each]:
        raise UsageError(f"{path} is an input; choose another place with -o")
    if path is not None and path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another place with -o, or give --overwrite")


def _rows(groups: Sequence[str], values: Sequence[Sequence[ChannelValues]]) -> list[list[Cell]]:
    """Return a row for each group: name, number of cases, mean of their medians per channel."""
    rows: list[list[Cell]] = []
    for name in sorted(set(groups)):
        members = [own for own, group in zip(values, groups, strict=True) if group == name]
        medians = np.mean([[standardized(own)[0] for own in scan] for scan in members], axis=0)
        rows.append([name, len(members), *map(float, medians)])
    return rows


def _parser() -> Parser:
    parser = Parser(
        prog="segkit harmonize discover",
        description="Find groups of scans by the location and spread of their intensities, as "
        "scanners and protocols that store other units or gains leave them: a mixture of "
        "Gaussians, whose number is chosen by BIC.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="a dataset, as for segkit train")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="GROUPS", help="CSV file for case and group"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    return parser
