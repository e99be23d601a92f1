"""segkit evaluate: label maps and references in, a table and four files out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from segkit.commands.flags import Parser
from segkit.errors import SomeCasesFailed, UsageError, first_few, printable
from segkit.evaluation import Evaluation, evaluate
from segkit.evaluation.measure import Structure
from segkit.evaluation.swapped_folders import SHOWN
from segkit.report.evaluation_page import absence_rows, label_rows, write_evaluation
from segkit.report.tables import text_table

MEANINGS = """\
REFERENCES is a label map, a folder of label maps, or a dataset: then its names are used, and of its cases only those
that have a prediction count. Without such names those in the label maps or in the records beside them (predict --stats)
are used. Its regions are compared as regions, and voxels with its ignore label are left out. Files
belong together when their names agree up to the suffix; CASE_seg also fits CASE. One of the two may be a DICOM-SEG,
which is put on the grid of the other. Segments of DICOM-SEG and of 3D Slicer (.seg.nrrd) are compared by their names.

dice, iou             overlap in voxels; 1 is perfect
hd95_mm               the larger of the two 95th percentiles of the distances from one surface to the other, in mm
surface_dice          share of both surfaces' voxels that lie within --tolerance-mm of the other surface; 1 is perfect
volume_difference_ml  volume of the prediction less that of the reference, in ml

A surface is the voxels of a mask that share a face with a voxel outside it. Pictures without spacing: px, not mm.
A label in neither mask gives no value. In one only: Dice, IoU and surface Dice 0, and an infinite distance, which is
counted and kept out of the means.
"""


def run(arguments: Sequence[str]) -> int:
    """Parse, evaluate, print the means per label; returns the exit code."""
    given = _parser().parse_args(arguments)
    evaluation = evaluate(
        given.predictions,
        given.references,
        labels=_labels(given.labels),
        ignore=given.ignore,
        tolerance_mm=given.tolerance_mm,
    )
    print(printable(table(evaluation), lines=True))
    if given.output:
        names = ("numbers", "cases", "means", "report")
        for name, path in zip(names, write_evaluation(evaluation, given.output), strict=True):
            print(f"{name + ':':<9}{path}")
    missing = evaluation.summary["references_without_prediction"]
    if missing and given.predictions.is_dir() and not given.allow_missing:
        raise SomeCasesFailed(
            f"{len(missing)} references have no prediction: {first_few(missing, SHOWN)}. With --allow-missing that is accepted"
        )
    return 0


def table(evaluation: Evaluation) -> str:
    """Means per label, then what was missing where."""
    cases = len(evaluation.summary["cases"])
    total = evaluation.summary.get("references_in_all", cases)
    many = (
        f"{cases} case{'s' if cases != 1 else ''}"
        if total == cases
        else f"{cases} of {total} cases"
    )
    parts = [f"{many}; means over the cases:", text_table(*label_rows(evaluation))]
    absences = absence_rows(evaluation)
    if absences:
        header = ["label", "in the reference only", "in the prediction only", "in neither"]
        parts += ["", "Cases in which a label was missing:", text_table(header, absences)]
    return "\n".join(parts)


def _labels(text: str | None) -> dict[str, Structure] | None:
    """``liver=5,spleen=1`` as a dict; the values of a region are ``tumour=1+2+3``."""
    if text is None:
        return None
    labels: dict[str, Structure] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.rpartition("="))
        values = [word.strip() for word in value.split("+")]
        if not name or not all(word.removeprefix("-").isdecimal() for word in values):
            raise UsageError(
                f"--labels: {part!r} is not NAME=VALUE. Write for example --labels spleen=1,liver=5, and a region of"
                " several values as tumour=1+2+3"
            )
        if name in labels:
            raise UsageError(f"--labels: {name} stands there twice. Give every label its own name")
        labels[name] = [int(word) for word in values] if len(values) > 1 else int(value)
    return labels


def _parser() -> Parser:
    parser = Parser(
        prog="segkit evaluate",
        description="Compare label maps with references, per case and label.",
        epilog=MEANINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS", help="a label map, or a folder of them"
    )
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="what they should be")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write metrics.csv, cases.csv, summary.json, report.html",
    )
    parser.add_argument(
        "--tolerance-mm",
        type=float,
        default=1.0,
        metavar="T",
        help="of surface Dice (default 1; px for pictures)",
    )
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,...",
        help="names, and only these labels; a region is NAME=VALUE+VALUE...",
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
        help="exit code 0 though references have no prediction (else 5)",
    )
    return parser
