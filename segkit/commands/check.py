"""segkit check: is this dataset sound?"""

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

ALL = "(dataset)"
"""Stands for the case in problems of the dataset as a whole."""
NAMING = {"dataset.channels", "dataset.labels", "dataset.regions", "dataset.ignore"}
"""Overrides that say what is in the files."""


def run(arguments: Sequence[str]) -> int:
    """Parse, check, print a table of problems; the exit code is 3 if one of them is an error."""
    given = _parser().parse_intermixed_args(arguments)
    dataset = _dataset(given.dataset, given.overrides)
    with CaseCounter("checking") as counter:
        problems = check(dataset, counter.show)
    print(printable(_described(dataset), lines=True))
    if problems:
        rows = [[problem.case or ALL, problem.severity, problem.message] for problem in problems]
        print(text_table(["case", "severity", "problem"], rows))
    print(_verdict(problems))
    return InputError.exit_code if any(problem.severity == "error" for problem in problems) else 0


def _dataset(path: str, overrides: Sequence[str]) -> Dataset:
    """Return the dataset, with the names that ``overrides`` give it as in a training."""
    paths = [word for word in overrides if "=" not in word]
    if paths:
        raise UsageError(
            f"check takes one dataset, not also {paths[0]!r}. Give the folder that holds both images and labels; "
            "a path with spaces needs quotes, and an override is KEY=VALUE."
        )
    others = [key for key in given_keys(overrides) if key not in NAMING]
    if others:
        raise UsageError(
            f"{others[0]} changes nothing about a dataset; check reads {', '.join(sorted(NAMING))}"
        )
    wanted = load([f"dataset={path}", *overrides]).dataset
    dataset = read_dataset(
        path, wanted.channels, wanted.labels, regions=wanted.regions, ignore=wanted.ignore
    )
    return with_names(dataset, skip_unreadable=True)


def _described(dataset: Dataset) -> str:
    labelled = sum(case.label is not None for case in dataset.cases)
    labels = ", ".join(_label(dataset, name) for name in dataset.labels)
    ignore = "" if dataset.ignore is None else f"\nignored:  {dataset.ignore}"
    labels = labels or "none, because no label map can be read"
    return (
        f"{dataset.name}: {len(dataset.cases)} cases, {labelled} with labels\n"
        f"channels: {', '.join(dataset.channels)}\nlabels:   {labels}{ignore}"
    )


def _label(dataset: Dataset, name: str) -> str:
    """A region with all its values."""
    return f"{name}={'+'.join(map(str, dataset.regions.get(name, (dataset.labels[name],))))}"


def _verdict(problems: Sequence[Problem]) -> str:
    if not problems:
        return "No problems found."
    found = Counter(problem.severity for problem in problems)
    counts = ", ".join(
        f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in sorted(found.items())
    )
    return f"{counts}. Errors must be mended before training; the rest is worth a look."


def _parser() -> Parser:
    parser = Parser(
        prog="segkit check",
        usage="segkit check DATASET [KEY=VALUE ...]",
        description="Read every file of a dataset and say what is wrong. Exit code 3 if it cannot be trained on.",
    )
    parser.add_argument(
        "dataset", metavar="DATASET", help="a folder or CSV file, as for segkit train"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="names as for segkit train, such as dataset.channels=[CT]",
    )
    return parser
