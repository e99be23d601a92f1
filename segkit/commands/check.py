"""segkit check: find problems of a dataset before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.dataset_check import Problem, check
from segkit.errors import InputError, UsageError, printable
from segkit.progress import CaseCounter
from segkit.report.tables import text_table

WHOLE_DATASET = "(dataset)"
"""Text in the column of cases for a problem of the whole dataset."""
NAME_KEYS = {"dataset.channels", "dataset.labels", "dataset.regions", "dataset.ignore"}
"""Overrides that name the channels and label values of the files."""


def run(arguments: Sequence[str]) -> int:
    """Check a dataset and print a table of problems; the exit code is 3 if one is an error."""
    given = _parser().parse_intermixed_args(arguments)
    dataset = _dataset(given.dataset, given.overrides)
    with CaseCounter("checking") as counter:
        problems = check(dataset, counter.show)
    print(printable(_described(dataset), lines=True))
    if problems:
        rows = [
            [problem.case or WHOLE_DATASET, problem.severity, problem.message]
            for problem in problems
        ]
        print(text_table(["case", "severity", "problem"], rows))
    print(_verdict(problems))
    return InputError.exit_code if any(problem.severity == "error" for problem in problems) else 0


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
        path, config.channels, config.labels, regions=config.regions, ignore=config.ignore
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
        f"{count} {severity}{'s' if count > 1 else ''}"
        for severity, count in sorted(numbers.items())
    )
    if "error" in numbers:
        return f"{counts}. Fix the errors before training."
    return f"{counts}. The dataset can be used for training; look at the warnings first."


def _parser() -> Parser:
    parser = Parser(
        prog="segkit check",
        usage="segkit check DATASET [KEY=VALUE ...]",
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
    return parser
