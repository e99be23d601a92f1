"""The flags of segkit predict."""

from __future__ import annotations

import argparse
from pathlib import Path

from segkit.commands.flags import Parser


def _path(text: str) -> Path:
    # An unset variable of a script must not mean the current folder.
    if not text:
        raise argparse.ArgumentTypeError("the name of a scan is empty")
    return Path(text)


def positive(text: str) -> int:
    """Return the whole number that a flag gives; it must be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _overlap(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor auto") from None
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in the range from 0 to below 1")
    return number


def _volume(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a volume")
    return number


def parser() -> Parser:
    """Return the parser of the command line."""
    predict = Parser(
        prog="segkit predict",
        description="Segment scans with a trained model. Each label map has the grid of its scan.",
        epilog="The paths of the label maps go to standard output, progress to standard error.",
    )
    predict.add_argument(
        "input",
        metavar="INPUT",
        nargs="*",
        type=_path,
        help="one or more scans, a folder of scans or DICOM studies, a zip of DICOM files, "
        "or a CSV file",
    )
    predict.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="the label map to write (default: SCAN_seg.nii.gz in the current folder); for several "
        "scans, the folder for the label maps",
    )
    predict.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        help="a bundle or run folder, a .segkit file, a folder of models (an ensemble), or a name "
        "that 'segkit models' lists (default: $SEGKIT_MODEL, else the newest run)",
    )
    _add_scan_choice(predict)
    _add_group(predict)
    _add_computing(predict)
    _add_more_files(predict)
    _add_label_map(predict)
    add_existing(predict)
    return predict


def _add_scan_choice(parser: Parser) -> None:
    parser.add_argument(
        "--channel",
        metavar="NAME=FILE",
        nargs="+",
        action="extend",
        help="one scan with a file for each channel, such as FLAIR=flair.nii.gz T1=t1.nii.gz",
    )
    parser.add_argument(
        "--series",
        metavar="N|UID|NAME|all",
        help="the DICOM series to segment, or certain images of one, such as 3:echo=2; "
        "all: every series",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="segment only the I-th of N parts of the scans, to divide the work among machines",
    )


def _add_group(parser: Parser) -> None:
    group = parser.add_argument_group(
        "site or scanner of the scans, for a model that harmonizes intensities"
    )
    group.add_argument(
        "--group",
        metavar="NAME",
        help="the group of all scans (default: as the harmonization was fitted: by intensities, by "
        "DICOM attributes, or by the column group of a CSV file of scans)",
    )
    group.add_argument(
        "--groups", metavar="FILE", type=_path, help="a CSV file with the columns case and group"
    )
    group.add_argument(
        "--column", metavar="NAME", help="column of FILE that holds the group (default: group)"
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="refuse scans of a group that was not among the training scans; otherwise they are "
        "harmonized by their own quantiles and flagged",
    )


def _add_computing(parser: Parser) -> None:
    group = parser.add_argument_group("computing")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    group.add_argument("--threads", metavar="N", type=positive, help="number of CPU threads")
    group.add_argument(
        "--precision",
        default="auto",
        help="auto, float32, bfloat16 or float16 (default: auto)",
    )
    group.add_argument(
        "--engine",
        default="torch",
        help="auto, torch or openvino; openvino computes on a CPU and needs the extra "
        "segkit[openvino] (default: torch)",
    )
    group.add_argument(
        "--overlap",
        metavar="FRACTION|auto",
        type=_overlap,
        default=0.5,
        help="overlap of neighboring windows, from 0 to below 1; auto: the smallest one that cost "
        "at most 0.001 of Dice at the end of the training (default: 0.5)",
    )
    group.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: average over mirrored windows where the model allows it",
    )
    group.add_argument(
        "--fast",
        action="store_true",
        help="overlap 0.25 and no mirroring: faster, slightly less accurate",
    )
    _add_bounds(group)


def _add_bounds(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--locate",
        metavar="MODEL",
        help="a coarse model of the same labels, which first finds the region to segment",
    )
    group.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="limit of the memory of the process, such as 4GB; the results are the same up to "
        "rounding",
    )


def _add_more_files(parser: Parser) -> None:
    group = parser.add_argument_group("more files beside the label map OUT")
    group.add_argument(
        "--preview",
        action="store_true",
        help="write OUT_preview.png: slices of the scan with the outlines of the labels",
    )
    group.add_argument(
        "--uncertainty",
        action="store_true",
        help="write OUT_uncertainty: the uncertainty (entropy) of each voxel",
    )
    _add_probabilities(group)
    group.add_argument(
        "--stats",
        action="store_true",
        help="write OUT.json: volume and intensities of each label, and how it was computed; for "
        "several scans CASE.json, stats.csv and look_first.html; with the expected Dice, if the "
        "model can tell it",
    )
    group.add_argument(
        "--rtstruct",
        action="store_true",
        help="write OUT_rtstruct.dcm: a DICOM RT Structure Set, for a DICOM scan",
    )


def _add_probabilities(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--probabilities",
        action="store_true",
        help="write OUT_probabilities: the probability of each label in each voxel",
    )
    group.add_argument(
        "--probability-type",
        choices=("uint8", "float32"),
        help="how --probabilities stores them: uint8 in steps of 1/255, which compresses well, or "
        "float32, four times the size (default: uint8)",
    )
    group.add_argument(
        "--calibrated",
        action="store_true",
        help="divide the scores by the temperature that the training of the model has fitted, so "
        "that probabilities and uncertainty are as sure as they are right; label maps stay the "
        "same",
    )


def _add_label_map(parser: Parser) -> None:
    group = parser.add_argument_group("label map")
    group.add_argument(
        "--dicom-seg",
        action="store_true",
        help="write a DICOM-SEG for each DICOM scan, as -o x.dcm does",
    )
    group.add_argument(
        "--labelmap",
        action="store_true",
        help="write DICOM-SEG of the newer type LABELMAP instead of BINARY",
    )
    group.add_argument("--roi", metavar="LABEL,...", help="keep only these labels")
    group.add_argument(
        "--remove-small-blobs",
        metavar="MM3",
        type=_volume,
        default=0.0,
        help="remove connected parts of a label with a volume below this, in cubic millimeters "
        "(pictures: square pixels)",
    )


def add_existing(parser: Parser) -> None:
    """Add the flags that say what happens to label maps that exist."""
    group = parser.add_argument_group("label maps that already exist (default: an error)")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        dest="existing",
        action="store_const",
        const="overwrite",
        default="refuse",
        help="replace them",
    )
    existing.add_argument(
        "--continue",
        dest="existing",
        action="store_const",
        const="continue",
        help="keep them, and segment only the other scans",
    )
