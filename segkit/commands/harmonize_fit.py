"""segkit harmonize fit: fit a harmonization to training scans, or ComBat to a table."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from segkit.commands.flags import Parser
from segkit.commands.harmonize_discover import check_new
from segkit.commands.harmonize_groups import (
    add_group_flags,
    check_group_flags,
    open_cases,
    tags_of,
)
from segkit.commands.harmonize_table import add_table_flags, fit_table, refuse_table_flags
from segkit.dataset.dataset import Case
from segkit.dataset.groups import groups_of, members_of_groups
from segkit.dataset.split import split_cases
from segkit.errors import UsageError, printable
from segkit.harmonization.fit import fit
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import Harmonization
from segkit.harmonization.model_file import write_harmonization
from segkit.planning.harmonization import fitted_to, measured_values
from segkit.report.tables import Cell, text_table

TABLE_METHOD = "combat"


def run(arguments: Sequence[str]) -> int:
    """Fit, write the JSON file, print the groups, and return the exit code."""
    given = _parser().parse_args(arguments)
    check_new(given.output, given.dataset, given.groups, overwrite=given.overwrite)
    if given.method == TABLE_METHOD:
        return fit_table(given)
    refuse_table_flags(given)
    check_group_flags(given)
    dataset = open_cases(given.dataset)
    split = split_cases(dataset, _fold("0" if given.fold is None else given.fold))
    cases, groups, source = _grouped(given, split.training)
    values = measured_values(cases, dataset.channels)
    model = fit(
        given.method,
        dataset.channels,
        values,
        groups,
        source=source,
        tags=tags_of(given.tags) if source == "dicom" else (),
    )
    named = dict(zip((case.id for case in cases), groups or (), strict=False))
    training = [dataclasses.replace(c, group=named.get(c.id, "")) for c in split.training]
    write_harmonization(given.output, fitted_to(model, training))
    print(printable(summary(model), lines=True))
    left = f"; {len(split.validation)} validation cases were not read" if split.validation else ""
    print(f"Fitted to {len(cases)} training cases{left}. It is in {given.output}.")
    return 0


def _fold(text: str) -> int | str:
    if text != "all" and not text.isdecimal():
        raise UsageError(f"--fold {text}: give the number of a fold, or all")
    return text if text == "all" else int(text)


def _grouped(
    given: argparse.Namespace, cases: Sequence[Case]
) -> tuple[Sequence[Case], list[str] | None, str]:
    """Return the cases to fit to, the group of each (None without groups), and their source."""
    if given.groups == "intensities":
        return cases, None, "intensities"
    groups = groups_of(cases, given.groups, given.column, tags_of(given.tags))
    source = "dicom" if given.groups == "dicom" else "table"
    if not groups and given.groups is None:
        if METHODS[given.method].needs_groups:
            raise UsageError(
                f"--method {given.method} needs the group of every scan: a column 'group' of the "
                "dataset, --groups FILE.csv, --groups dicom or --groups intensities"
            )
        return cases, None, "none"
    members = members_of_groups(cases, groups, given.groups)
    return members, [groups[case.id] for case in members], source


def summary(model: Harmonization) -> str:
    """Return the groups as a table: training scans, and the weight of each channel's curve."""
    if not model.scans:
        return f"{model.method}: {METHODS[model.method].text}; without groups."
    channels = [channel for channel in model.channels if channel.groups]
    header = ["group", "scans", *(f"weight, {channel.name}" for channel in channels)]
    rows: list[list[Cell]] = []
    for name, count in model.scans.items():
        curves = [channel.groups.get(name) for channel in channels]
        rows.append([name, count, *(None if curve is None else curve.weight for curve in curves)])
    return f"{model.method}: {METHODS[model.method].text}.\n{text_table(header, rows)}"


def _parser() -> Parser:
    parser = Parser(
        prog="segkit harmonize fit",
        description="Fit a harmonization to the training scans of a dataset and write it as JSON; "
        "with --method combat, to a table of measurements. Scans of validation cases are not read.",
    )
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="a dataset, as for segkit train; a CSV table for --method combat",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="JSON file to write"
    )
    parser.add_argument(
        "--method",
        choices=[*METHODS, TABLE_METHOD],
        default="spline",
        help="spline: monotone curve of each group; nyul: landmarks; zscore: mean 0 and standard "
        "deviation 1; combat: location and scale of the measurements of each site (default: "
        "spline)",
    )
    add_group_flags(parser, intensities=True)
    parser.add_argument(
        "--fold",
        metavar="N",
        help="fold whose validation cases are left out, as fold=N of segkit train; all takes every "
        "case (default: 0)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing FILE")
    add_table_flags(parser)
    return parser
