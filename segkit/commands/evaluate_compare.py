"""segkit evaluate --compare: which of two sets of predictions is better, and how sure is that?"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.commands.evaluate_metrics import families_of
from segkit.commands.flags import Parser
from segkit.errors import SomeCasesFailed, UsageError, first_few, printable
from segkit.evaluation.by_group import MEAN
from segkit.evaluation.compare import Comparison, compare
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.measure import Structure
from segkit.evaluation.patients import patients_in_table
from segkit.report.comparison_page import write_comparison
from segkit.report.comparison_tables import difference_table
from segkit.report.comparison_words import (
    about_other_metrics,
    corrections,
    explained,
    headline,
    scope,
)
from segkit.report.evaluation_page import ReportOptions
from segkit.report.tables import text_table

LINE = 100
"""Length of a line of text."""
OWN = ("margin",)
"""Flags that belong to --compare."""
OTHERS = ("by", "groups", "column")
"""Flags that do not go with --compare."""


def add_flags(parser: Parser) -> None:
    """Add --compare and the flags that belong to it."""
    parser.add_argument(
        "--patients",
        type=Path,
        metavar="FILE",
        help="CSV file with the columns case and patient, so that scans of one patient count as "
        "one piece of evidence in intervals (default: the column patient of the dataset)",
    )
    group = parser.add_argument_group("comparison of two sets of predictions")
    group.add_argument(
        "--compare",
        type=Path,
        action="append",
        metavar="A",
        help="compare PREDICTIONS (B) with the predictions A of the same cases: segkit evaluate "
        "--compare A B REFERENCES prints paired differences with intervals, a test and a verdict; "
        "-o DIR then gets differences.csv, comparison.json and comparison.html",
    )
    group.add_argument(
        "--margin",
        metavar="METRIC=VALUE,...",
        help="largest difference that is irrelevant, such as dice=0.01; the verdict then says "
        "whether both are equivalent",
    )


def check_flags(given: argparse.Namespace) -> None:
    """Check that flags go together.

    Raises:
        UsageError: they do not.
    """
    set_flags = {name for name in (*OWN, *OTHERS) if getattr(given, name) is not None}
    if not given.compare:
        alone = [name for name in OWN if name in set_flags]
        if alone:
            raise UsageError(
                f"--{alone[0]} belongs to --compare: write segkit evaluate --compare A B REFERENCES"
            )
        return
    if len(given.compare) > 1:
        raise UsageError(
            "--compare is given twice. Exactly two sets of predictions are compared: segkit "
            "evaluate --compare A B REFERENCES"
        )
    other = [name for name in OTHERS if name in set_flags]
    if other:
        raise UsageError(
            f"--{other[0]} does not go with --compare. For groups of cases, evaluate A and B one "
            "at a time"
        )


def run_comparison(
    given: argparse.Namespace, labels: Mapping[str, Structure] | None, options: ReportOptions
) -> int:
    """Compare, print the verdict, write the files, and return the exit code.

    Args:
        given: values of the flags.
        labels: labels to compare, if the user named some.
        options: what to draw, and what was typed.
    """
    a, b = given.compare[0], given.predictions
    comparison = compare(
        a,
        b,
        given.references,
        labels=labels,
        ignore=given.ignore,
        tolerance_mm=given.tolerance_mm,
        patients=patients_in_table(given.patients) if given.patients else None,
        margins=margins(given.margin),
        extras=families_of(given),
        lesion_iou=given.lesion_iou or 0.0,
    )
    print(printable(text_of(comparison), lines=True))
    if given.output:
        names = ("differences:", "numbers:", "report:")
        print()
        paths = write_comparison(comparison, given.output, options)
        for name, path in zip(names, paths, strict=True):
            print(f"{name:<13}{path}")
    _check_complete(comparison.summary["cases"], accept=given.allow_missing)
    return 0


def text_of(comparison: Comparison) -> str:
    """Return what the terminal shows: scope, a table of Dice, one of all metrics, the verdict."""
    summary = comparison.summary
    results = summary["results"]
    of_labels = [entry for entry in results if entry["metric"] == MAIN_METRIC]
    means = [entry for entry in results if entry["label"] == MEAN]
    sentences = [headline(summary), *(f"Note: {text}" for text in summary["cautions"])]
    parts, said = [_filled([scope(summary)])], set[str]()
    if of_labels:
        parts.append(f"{MAIN_METRIC}:\n{text_table(*difference_table(of_labels))}")
        parts.append(_filled([corrections(of_labels), *explained(of_labels, said)]))
        title = "mean over the labels" if means else of_labels[0]["label"]
        shown = means or results
        by_metric = difference_table(shown, first="metric", wide=False)
        parts.append(f"{title}:\n{text_table(*by_metric)}")
        words = [corrections(shown), *explained(shown, said), *about_other_metrics(summary)]
        parts.append(_filled(words))
    return "\n\n".join([*parts, _filled(sentences)])


def _filled(sentences: Sequence[str]) -> str:
    return "\n".join(textwrap.fill(sentence, LINE) for sentence in sentences if sentence)


def margins(text: str | None) -> dict[str, float]:
    """Read ``dice=0.01,hd95_mm=0.5``.

    Raises:
        UsageError: a part that is not METRIC=VALUE, or a metric that is given twice.
    """
    found: dict[str, float] = {}
    for part in text.split(",") if text is not None else ():
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not name or not number > 0 or name in found:
            raise UsageError(
                f"--margin: {part!r} is not METRIC=VALUE with a value above 0, or is given twice. "
                "Write for example --margin dice=0.01,hd95_mm=0.5"
            )
        found[name] = number
    return found


def _check_complete(cases: Mapping[str, Sequence[str]], *, accept: bool) -> None:
    """Refuse incomplete folders after everything is written.

    Raises:
        SomeCasesFailed: cases have no prediction in one of the two or in both.
    """
    missing = [*cases["only_a"], *cases["only_b"], *cases["neither"]]
    if missing and not accept:
        raise SomeCasesFailed(
            f"{len(missing)} case{'s lack' if len(missing) > 1 else ' lacks'} a prediction in A, in"
            f" B or in both: {first_few(missing, 5)}. Give --allow-missing to accept that"
        )
