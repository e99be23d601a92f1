"""segkit evaluate: compare label maps with references."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from segkit.commands.evaluate_compare import add_flags, check_flags, run_comparison
from segkit.commands.evaluate_metrics import (
    add_metric_flags,
    families_of,
    lesion_table,
    metric_lines,
)
from segkit.commands.evaluate_output import add_output_flags, check_output, write_files
from segkit.commands.flags import Parser
from segkit.dataset.groups import COLUMN, table_groups, table_patients
from segkit.dataset.layouts import read_dataset
from segkit.errors import SomeCasesFailed, UsageError, first_few, printable
from segkit.evaluation import Evaluation, evaluate
from segkit.evaluation.by_group import by_group
from segkit.evaluation.distribution import with_patients
from segkit.evaluation.measure import Structure
from segkit.evaluation.pairs import is_dataset
from segkit.evaluation.patients import patients_in_table, patients_of_cases
from segkit.evaluation.swapped_folders import SHOWN
from segkit.inference.files.outcomes import read_outcomes
from segkit.report.evaluation.missing import without_prediction
from segkit.report.evaluation_groups import INTERVAL, group_rows
from segkit.report.evaluation_page import (
    ReportOptions,
    absence_rows,
    label_rows,
)
from segkit.report.left_out import HEADER, TITLE, left_out_rows
from segkit.report.tables import narrow_tables, text_table

PICTURES = ReportOptions().pictures
DETAILS = """\
REFERENCES is a label map, a folder of label maps, or a dataset. With a dataset, its label names and
regions are used, voxels with its ignore label are left out, and only cases with a prediction count.
Otherwise the names in the label maps are used, or those in the records beside them (predict
--stats).

A prediction and a reference belong together if their file names are equal without the suffix;
CASE_seg belongs to CASE as well. One of the two may be a DICOM-SEG, which is put on the grid of the
other. Segments of DICOM-SEG and of 3D Slicer (.seg.nrrd) are compared by their names.
"""


def run(arguments: Sequence[str]) -> int:
    """Evaluate, print the means of each label, write the files, and return the exit code."""
    given = _parser().parse_args(arguments)
    check_flags(given)
    _check_group_flags(given)
    _check_report_flags(given)
    check_output(given)
    options = ReportOptions(
        scans=given.scans,
        pictures=PICTURES if given.pictures is None else given.pictures,
        command=shlex.join(["segkit", "evaluate", *arguments]),
    )
    if given.compare:
        return run_comparison(given, _labels(given.labels), options)
    evaluation = evaluate(
        given.predictions,
        given.references,
        labels=_labels(given.labels),
        ignore=given.ignore,
        tolerance_mm=given.tolerance_mm,
        extras=families_of(given),
        lesion_iou=given.lesion_iou or 0.0,
    )
    evaluation = _with_patients(evaluation, given)
    if given.by:
        evaluation = by_group(evaluation, groups_of_cases(given))
    print(printable(table(evaluation), lines=True))
    if given.output:
        write_files(evaluation, given.output, options)
    missing = evaluation.summary["references_without_prediction"]
    if missing and given.predictions.is_dir() and not given.allow_missing:
        raise SomeCasesFailed(
            f"{without_prediction(len(missing))}: {first_few(missing, SHOWN)}. "
            "Give --allow-missing to accept that"
        )
    return 0


def table(evaluation: Evaluation) -> str:
    """Return the means of each label, numbers of cases without it, and what the means leave out."""
    cases = len(evaluation.summary["cases"])
    total = evaluation.summary.get("references_in_all", cases)
    count = f"{cases} of {total} cases"
    if total == cases:
        count = f"{cases} case{'s' if cases != 1 else ''}"
    means = narrow_tables(*label_rows(evaluation), keep=2)
    parts = [f"{count}; means over the cases:", means]
    lesions = lesion_table(evaluation)
    if lesions:
        parts += ["", "Lesions of all cases:", lesions]
    if "groups" in evaluation.summary:
        parts += ["", f"Dice by group, with {INTERVAL}:", text_table(*group_rows(evaluation))]
    absences = absence_rows(evaluation)
    if absences:
        header = ["label", "in the reference only", "in the prediction only", "in neither"]
        parts += ["", "Cases in which a label was missing:", text_table(header, absences)]
    left_out = left_out_rows(evaluation.summary)
    if left_out:
        parts += ["", TITLE, text_table(HEADER, left_out)]
    return "\n".join(parts)


def groups_of_cases(given: argparse.Namespace) -> dict[str, str]:
    """Return the group of each case: of a table, of the dataset, or as predict has found it.

    Raises:
        InputError: the table cannot be used.
        UsageError: the predictions.json beside the predictions cannot be read.
    """
    if given.groups is not None:
        return table_groups(given.groups, given.column or COLUMN)
    if is_dataset(given.references):
        groups = {case.id: case.group for case in read_dataset(given.references).cases}
        if any(groups.values()):
            return groups
    files = [given.predictions / "predictions.json"]
    files += sorted(given.predictions.glob("predictions-*-of-*.json"))  # of predict --shard
    outcomes = (entry for path in files for entry in read_outcomes(path).items())
    return {case: outcome.get("group") or "" for case, outcome in outcomes}


def _with_patients(evaluation: Evaluation, given: argparse.Namespace) -> Evaluation:
    """Return the evaluation with the patients in the tables that were given.

    Raises:
        InputError: a table cannot be used, or that of --patients has none of the cases.
    """
    if given.patients is not None:
        cases = list(evaluation.summary["cases"])
        patients = patients_of_cases(cases, patients_in_table(given.patients))
        return with_patients(evaluation, patients, instead=True)
    return with_patients(evaluation, table_patients(given.groups) if given.groups else {})


def _check_group_flags(given: argparse.Namespace) -> None:
    if given.groups is not None and not given.by:
        raise UsageError("--groups says what the groups of --by group are: add that")
    if given.column is not None and given.groups is None:
        raise UsageError("--column names a column of the file of --groups: add it, or leave it out")


def _check_report_flags(given: argparse.Namespace) -> None:
    if given.output is None and (given.scans is not None or given.pictures is not None):
        raise UsageError("--scans and --pictures are about the report: add -o DIR")
    if given.patients is not None and not (given.compare or given.by or given.output):
        raise UsageError("--patients is about intervals: add -o DIR, --by group, or --compare A")
    if given.pictures is not None and given.pictures < 0:
        raise UsageError(f"--pictures must be 0 or more, not {given.pictures}")
    if given.scans is not None and not given.scans.is_dir():
        raise UsageError(f"--scans must be a folder of scans, and {given.scans} is none")


def _labels(text: str | None) -> dict[str, Structure] | None:
    """Read ``liver=5,spleen=1``; a region of several values is ``tumor=1+2+3``.

    Raises:
        UsageError: a part that is not NAME=VALUE, or a name that is given twice.
    """
    if text is None:
        return None
    labels: dict[str, Structure] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.rpartition("="))
        values = [word.strip() for word in value.split("+")]
        if not name or not all(word.removeprefix("-").isdecimal() for word in values):
            raise UsageError(
                f"--labels: {part!r} is not NAME=VALUE. "
                "Write for example --labels spleen=1,liver=5, "
                "and a region of several values as tumor=1+2+3"
            )
        if name in labels:
            raise UsageError(f"--labels: {name} is given twice. Give every label its own name")
        labels[name] = [int(word) for word in values] if len(values) > 1 else int(value)
    return labels


def _parser() -> Parser:
    parser = Parser(
        prog="segkit evaluate",
        description="Compare label maps with reference label maps for each case and label.",
        epilog=f"{DETAILS}\n{metric_lines()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS", help="a label map, or a folder of them"
    )
    parser.add_argument(
        "references",
        type=Path,
        metavar="REFERENCES",
        help="the correct label map, a folder of them, or a dataset",
    )
    add_output_flags(parser)
    _add_options(parser)
    add_metric_flags(parser)
    _add_report(parser)
    _add_groups(parser)
    add_flags(parser)
    return parser


def _add_options(parser: Parser) -> None:
    parser.add_argument(
        "--tolerance-mm",
        type=float,
        default=1.0,
        metavar="T",
        help="tolerance of the surface Dice, in mm or, for pictures, in px (default: 1)",
    )
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,...",
        help="compare only these labels, under these names; a region of several values is "
        "NAME=VALUE+VALUE",
    )
    parser.add_argument(
        "--ignore",
        type=int,
        metavar="VALUE",
        help="leave out voxels that have this value in the reference",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="exit with code 0 instead of 5 if a reference has no prediction",
    )


def _add_report(parser: Parser) -> None:
    parser.add_argument(
        "--scans",
        type=Path,
        metavar="FOLDER",
        help="with -o: folder with the scans, named as the cases, to draw the worst cases on, or "
        "with --compare those that changed most (default: those of the dataset, or those that "
        "predict --stats recorded)",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        metavar="N",
        help="with -o: number of cases to draw, the worst first, or with --compare those that "
        f"changed most (default: {PICTURES})",
    )


def _add_groups(parser: Parser) -> None:
    parser.add_argument(
        "--by",
        choices=("group",),
        help="also give means with 95%% intervals for each group of cases, such as site or scanner "
        "(with -o in groups.csv)",
    )
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help="CSV file with the columns case and group, and patient if several cases are of one "
        "patient and no dataset says so (default: the column group of the dataset, "
        "else the groups in predictions.json, as a model that harmonizes has found them)",
    )
    parser.add_argument(
        "--column", metavar="NAME", help="column of FILE that holds the group (default: group)"
    )
