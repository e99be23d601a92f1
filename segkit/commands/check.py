"""segkit check: find problems of a dataset before training."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from segkit.commands.flags import Parser
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.dataset_check import SEVERITIES, Examined, Problem, examine
from segkit.errors import InputError, UsageError, printable
from segkit.progress import CaseCounter
from segkit.report.tables import Cell, text_table

WHOLE_DATASET = "(dataset)"
"""Text in the column of cases for a problem of the whole dataset."""
COLUMNS = ("case", "severity", "check", "file", "problem")
NARROWEST = 40
"""Least width of a wrapped message on a terminal, in characters."""
NAME_KEYS = {"dataset.channels", "dataset.labels", "dataset.regions", "dataset.ignore"}
"""Overrides that name the channels and label values of the files."""


def run(arguments: Sequence[str]) -> int:
    """Check a dataset and print a table of problems; the exit code is 3 if one is an error."""
    given = _parser().parse_intermixed_args(arguments)
    dataset = _dataset(given.dataset, given.overrides)
    with CaseCounter("checking") as counter:
        examined = examine(dataset, counter.show)
    problems = examined.problems
    print(as_json(examined) if given.json else printable(as_text(examined), lines=True))
    return InputError.exit_code if any(problem.severity == "error" for problem in problems) else 0


def as_text(examined: Examined) -> str:
    """Return the problems as a table for the terminal, with what to do about each kind below."""
    problems, dataset = examined.problems, examined.measured.dataset
    parts = [_described(dataset)]
    if problems:
        parts += [text_table(COLUMNS, _rows(problems)), "", "What to do:"]
        remedies = {problem.check: problem.remedy for problem in problems}
        parts += [f"  {check}: {remedy}" for check, remedy in remedies.items()]
    return "\n".join([*parts, _verdict(problems)])


def _rows(problems: Sequence[Problem]) -> list[list[Cell]]:
    """Return a row for each problem; on a terminal, long messages continue in rows below."""
    cells = [
        [problem.case or WHOLE_DATASET, problem.severity, problem.check, problem.file or None]
        for problem in problems
    ]
    if not sys.stdout.isatty():
        return [[*row, each.message] for row, each in zip(cells, problems, strict=True)]
    widths = [
        max(len(str(cell or "-")) for cell in column) + 2 for column in zip(*cells, strict=True)
    ]
    width = max(NARROWEST, shutil.get_terminal_size().columns - sum(widths))
    rows: list[list[Cell]] = []
    for row, problem in zip(cells, problems, strict=True):
        first, *more = textwrap.wrap(problem.message, width) or [""]
        rows += [[*row, first], *(["", "", "", "", line] for line in more)]
    return rows


def as_json(examined: Examined) -> str:
    """Return the problems as JSON, with counts by severity."""
    measured = examined.measured
    dataset = measured.dataset
    numbers = Counter(problem.severity for problem in examined.problems)
    content = {
        "dataset": dataset.name,
        "cases": len(dataset.cases),
        "measured_cases": len(measured.cases),
        "channels": list(dataset.channels),
        "labels": dataset.labels,
        "counts": {f"{severity}s": numbers[severity] for severity in SEVERITIES},
        "problems": [asdict(problem) for problem in examined.problems],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _dataset(path: str, overrides: Sequence[str]) -> Dataset:
    """Return the dataset, with the names that ``overrides`` give it, as for a training."""
    paths = [word for word in overrides if "=" not in word]
    if paths:
        raise UsageError(
            f"check takes one dataset, not also {paths[0]!r}. "
            "Give the folder that holds both images and labels; "
            "a path with spaces needs quotes, and an override is KEY=VALUE."
        )
    others = [key for key in given_keys(overrides) if key not in NAME_KEYS]
    if others:
        raise UsageError(
            f"{others[0]} changes nothing about a dataset; "
            f"check reads {', '.join(sorted(NAME_KEYS))}"
        )
    config = load([f"dataset={path}", *overrides]).dataset
    dataset = read_dataset(
        path,
        config.channels,
        config.labels,
        regions=config.regions,
        ignore=config.ignore,
        strict_split=False,
    )
    return with_names(dataset, skip_unreadable=True)


def _described(dataset: Dataset) -> str:
    labeled = sum(case.label is not None for case in dataset.cases)
    labels = ", ".join(_label(dataset, name) for name in dataset.labels)
    labels = labels or "none, because no label map can be read"
    ignore = "" if dataset.ignore is None else f"\nignored:  {dataset.ignore}"
    return (
        f"{dataset.name}: {len(dataset.cases)} cases, {labeled} with labels\n"
        f"channels: {', '.join(dataset.channels)}\nlabels:   {labels}{ignore}"
    )


def _label(dataset: Dataset, name: str) -> str:
    """Return the label with its value, or a region with all its values."""
    values = dataset.regions.get(name, (dataset.labels[name],))
    return f"{name}={'+'.join(map(str, values))}"


def _verdict(problems: Sequence[Problem]) -> str:
    if not problems:
        return "No problems found."
    numbers = Counter(problem.severity for problem in problems)
    counts = ", ".join(
        f"{numbers[severity]} {severity}{'s' if numbers[severity] > 1 else ''}"
        for severity in SEVERITIES
        if numbers[severity]
    )
    if "error" in numbers:
        return f"{counts}. Fix the errors before training."
    first = "warnings" if "warning" in numbers else "notes"
    return f"{counts}. The dataset can be used for training; look at the {first} first."


def _parser() -> Parser:
    parser = Parser(
        prog="segkit check",
        usage="segkit check DATASET [KEY=VALUE ...] [--json]",
        description="Read every file of a dataset and list its problems. "
        "The exit code is 3 if the dataset cannot be used for training.",
    )
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="a folder or CSV file with labeled scans, as for segkit train",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="names of channels and labels, as for segkit train, such as dataset.channels=[CT]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser
