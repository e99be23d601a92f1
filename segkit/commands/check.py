"""segkit check: find problems of a dataset before training."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from segkit.commands.flags import Parser
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.dataset.dataset import Dataset
from segkit.dataset.incomplete_cases import mentioned
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.dataset_check import Examined, Problem, examine
from segkit.dataset_check.fix_geometry import (
    Correction,
    State,
    check_place,
    remaining_errors,
    write_fixed_copy,
)
from segkit.dataset_check.summary import summary, verdict
from segkit.errors import InputError, UsageError, printable
from segkit.files.report_folder import check_report_folder
from segkit.progress import CaseCounter
from segkit.report.tables import Cell, text_table

if TYPE_CHECKING:
    from segkit.report.check_thumbnails import Thumbnails

WHOLE_DATASET = "(dataset)"
"""Text in the column of cases for a problem of the whole dataset."""
COLUMNS = ("case", "severity", "check")
NARROWEST = 30
"""Least width of a wrapped message on a terminal, in characters."""
NAME_KEYS = {"dataset.channels", "dataset.labels", "dataset.regions", "dataset.ignore"}
"""Overrides that name the channels and label values of the files."""


def run(arguments: Sequence[str]) -> int:
    """Check a dataset and print a table of problems; the exit code is 3 if one is an error."""
    given = _parser().parse_intermixed_args(arguments)
    dataset = _dataset(given.dataset, given.overrides)
    if given.fix_geometry:
        check_place(dataset, given.fix_geometry)
    if given.output:
        _check_output(given.output, dataset, given.fix_geometry, overwrite=given.overwrite)
    elif given.overwrite:
        raise UsageError("--overwrite is about the files of -o: add that, or leave it out")
    thumbnails = _thumbnails(dataset) if given.output else None
    with CaseCounter("checking") as counter:
        examined = examine(dataset, counter.show, thumbnails.draw if thumbnails else None)
    corrections = _fixed(dataset, given.fix_geometry) if given.fix_geometry else []
    if given.json:
        done = {"corrections": [asdict(each) for each in corrections]} if corrections else {}
        print(json.dumps({**summary(examined), **done}, indent=2, ensure_ascii=False))
    else:
        print(printable(as_text(examined), lines=True))
    if thumbnails:
        command = ["segkit", "check", given.dataset, *given.overrides]
        _write_page(examined, given.output, thumbnails, command, shown=not given.json)
    if corrections and not given.json:
        print(
            printable(corrections_text(corrections, given.fix_geometry, given.dataset), lines=True)
        )
    errors = [each for each in examined.problems if each.severity == "error"]
    return InputError.exit_code if remaining_errors(corrections, errors) else 0


def _check_output(folder: Path, dataset: Dataset, copy: Path | None, *, overwrite: bool) -> None:
    """Raise a UsageError if the page would be among the files of a dataset or of something else."""
    from segkit.report.check_page import FILES, RECORD  # noqa: PLC0415

    files = [path for case in dataset.cases for path in case.images]
    files += [path for case in dataset.incomplete for path in case.files]
    taken = {path.resolve() for path in (dataset.root, *(file.parent for file in files))}
    if copy:
        taken.add(copy.resolve())
    if folder.resolve() in taken or (folder.exists() and not folder.is_dir()):
        raise UsageError(
            f"-o {folder}: its pictures and tables would be among the files of the dataset, or it"
            " is a file. Give another folder."
        )
    inputs: dict[str, str | Path] = {"path": dataset.root, "dataset": dataset.name}
    check_report_folder(folder, FILES, record=RECORD, inputs=inputs, overwrite=overwrite)


def _fixed(dataset: Dataset, out: Path) -> list[Correction]:
    with CaseCounter("copying") as counter:
        return write_fixed_copy(dataset, out, counter.show)


def corrections_text(corrections: Sequence[Correction], out: Path, dataset: str) -> str:
    """Return what was done with the label maps of the copy of a dataset, case by case."""
    rows = [[each.case, each.state, each.text] for each in corrections if each.text]
    numbers = Counter(each.state for each in corrections)
    lines = [
        f"{numbers[state]} {state}"
        for state in get_args(State)
        if state != "left out" or numbers[state]
    ]
    table = [text_table(["case", "label map", "what was done"], rows)] if rows else []
    copy = out / Path(dataset).name if Path(dataset).is_file() else out
    return "\n".join(
        [
            "",
            f"Copy in {out}: {', '.join(lines)}.",
            *table,
            f"Check the copy: {shlex.join(['segkit', 'check', str(copy)])}",
        ]
    )


def _thumbnails(dataset: Dataset) -> Thumbnails:
    """Return pictures to be drawn; the libraries for it are imported only for -o."""
    from segkit.report.check_thumbnails import Thumbnails  # noqa: PLC0415

    return Thumbnails(dataset)


def _write_page(
    examined: Examined,
    folder: Path,
    thumbnails: Thumbnails,
    command: Sequence[str],
    *,
    shown: bool,
) -> None:
    """Write the page and its tables, and print their paths if ``shown``."""
    from segkit.report.check_cards import Pictures  # noqa: PLC0415
    from segkit.report.check_page import write_check  # noqa: PLC0415

    pictures = Pictures(thumbnails.of_case, thumbnails.remarks)
    paths = write_check(examined, folder, pictures, command=command)
    if shown:
        for name, path in zip(("page", "problems", "measurements", "JSON"), paths, strict=True):
            print(f"{name + ':':<14}{path}")


def as_text(examined: Examined) -> str:
    """Return the problems as a table for the terminal, with what to do about each kind below."""
    problems, dataset = examined.problems, examined.measured.dataset
    parts = [_described(dataset)]
    if problems:
        parts += [_table(problems), "", "What to do:"]
        remedies = {problem.check: problem.remedy for problem in problems}
        parts += [f"  {check}: {remedy}" for check, remedy in remedies.items()]
    return "\n".join([*parts, verdict(problems)])


def _table(problems: Sequence[Problem]) -> str:
    """Return a row for each problem; on a terminal, messages are wrapped below their file."""
    cells = [[each.case or WHOLE_DATASET, each.severity, each.check] for each in problems]
    rows: list[list[Cell]] = []
    if not sys.stdout.isatty():
        for row, problem in zip(cells, problems, strict=True):
            rows.append([*row, problem.file or None, problem.message])
        return text_table([*COLUMNS, "file", "problem"], rows)
    used = sum(max(map(len, column)) + 2 for column in zip(*cells, COLUMNS, strict=True))
    width = max(NARROWEST, shutil.get_terminal_size().columns - used)
    for row, problem in zip(cells, problems, strict=True):
        parts = [problem.file, *textwrap.wrap(problem.message, width)]
        first, *more = [part for part in parts if part]
        rows.append([*row, first])
        rows += [["", "", "", line] for line in more]
    return text_table([*COLUMNS, "problem"], rows)


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
        strict=False,
    )
    with mentioned(dataset.incomplete):
        return with_names(dataset, skip_unreadable=True)


def _described(dataset: Dataset) -> str:
    labeled = sum(case.label is not None for case in dataset.cases)
    incomplete = f", {len(dataset.incomplete)} more incomplete" if dataset.incomplete else ""
    labels = ", ".join(_label(dataset, name) for name in dataset.labels)
    labels = labels or "none, because no label map can be read"
    ignore = "" if dataset.ignore is None else f"\nignored:  {dataset.ignore}"
    return (
        f"{dataset.name}: {_cases(len(dataset.cases))}, {labeled} with labels{incomplete}\n"
        f"channels: {', '.join(dataset.channels)}\nlabels:   {labels}{ignore}"
    )


def _cases(count: int) -> str:
    return f"{count} case{'s' if count != 1 else ''}"


def _label(dataset: Dataset, name: str) -> str:
    """Return the label with its value, or a region with all its values."""
    values = dataset.regions.get(name, (dataset.labels[name],))
    return f"{name}={'+'.join(map(str, values))}"


def _parser() -> Parser:
    parser = Parser(
        prog="segkit check",
        usage="segkit check DATASET [KEY=VALUE ...] [-o DIR] [--fix-geometry OUT] [--json]",
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
    _add_output(parser)
    parser.add_argument(
        "--fix-geometry",
        type=Path,
        metavar="OUT",
        help="also copy the dataset into the new folder OUT, with the header of its scan for each "
        "label map of which only the header is wrong; the original is not changed",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser


def _add_output(parser: Parser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for report.html with a picture of each case, the oddest first, and for "
        "problems.csv, measurements.csv, summary.json and figures; the same call renews them, and "
        "files of another call are not replaced",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of another check or command in the folder of -o",
    )
