"""The flags of segkit predict."""

from __future__ import annotations

import argparse
from pathlib import Path

from segkit.commands.flags import Parser


def _path(text: str) -> Path:
    # An unset variable of a script must not stand for the current folder.
    if not text:
        raise argparse.ArgumentTypeError("the name of a scan is empty")
    return Path(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and below 1")
    return number


def _volume(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a volume")
    return number


def parser() -> Parser:
    """Return the parser of the command line."""
    found = Parser(
        prog="segkit predict",
        description="Segment scans with a trained model. Label maps lie on the scans' own grids.",
        epilog="Paths of label maps go to standard output, progress to standard error.",
    )
    found.add_argument(
        "input",
        metavar="INPUT",
        nargs="*",
        type=_path,
        help="a scan, several scans, a folder of scans or studies, a DICOM folder or zip, or a CSV file",
    )
    found.add_argument("-o", "--output", metavar="OUT", help="file for one scan, folder for many")
    found.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        help="bundle, run folder, .segkit file, folder of several, name",
    )
    found.add_argument(
        "--channel",
        metavar="NAME=FILE",
        nargs="+",
        action="extend",
        help="one scan, a file per channel",
    )
    found.add_argument(
        "--series",
        metavar="N|UID|NAME|all",
        help="which series of DICOM, or images of it (3:echo=2); all: each series",
    )
    _add_computing(found)
    _add_results(found)
    return found


def _add_computing(parser: Parser) -> None:
    group = parser.add_argument_group("computing")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    group.add_argument("--threads", metavar="N", type=_positive, help="CPU threads")
    group.add_argument(
        "--precision", default="auto", help="auto, float32, bfloat16 or float16 (auto)"
    )
    group.add_argument(
        "--engine",
        default="torch",
        help="auto, torch or openvino, which needs its extra and computes on a CPU (torch)",
    )
    group.add_argument(
        "--overlap", metavar="SHARE", type=_share, default=0.5, help="of neighbouring windows (0.5)"
    )
    group.add_argument(
        "--tta",
        action="store_true",
        help="average over mirrored windows, where the model allows it",
    )
    group.add_argument(
        "--fast",
        action="store_true",
        help="overlap 0.25 and no mirroring: sooner, a little less exact",
    )
    group.add_argument(
        "--locate",
        metavar="MODEL",
        help="a coarse model of the same labels: it finds the box to compute in",
    )
    group.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="of the process, such as 4GB: changes how it is computed; results agree up to rounding",
    )
    group.add_argument("--shard", metavar="I/N", help="take the I-th of N parts of the scans")


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument(
        "--preview", action="store_true", help="also a PNG with outlines, OUT_preview.png"
    )
    group.add_argument(
        "--uncertainty", action="store_true", help="also a map of each voxel's, OUT_uncertainty"
    )
    group.add_argument(
        "--probabilities",
        action="store_true",
        help="also a map of all labels' probabilities, OUT_probabilities",
    )
    group.add_argument(
        "--probability-type",
        choices=("uint8", "float32"),
        help="of --probabilities: steps of 1/255, which pack well, or real numbers of four times the size (uint8)",
    )
    group.add_argument(
        "--stats",
        action="store_true",
        help="also figures of each label and the run record: OUT.json, in a folder CASE.json and stats.csv",
    )
    group.add_argument(
        "--rtstruct",
        action="store_true",
        help="also an RT Structure Set of DICOM, OUT_rtstruct.dcm",
    )
    group.add_argument(
        "--dicom-seg",
        action="store_true",
        help="label maps of DICOM as DICOM-SEG, as -o x.dcm does",
    )
    group.add_argument(
        "--labelmap", action="store_true", help="DICOM-SEG as the newer kind LABELMAP, not BINARY"
    )
    group.add_argument("--roi", metavar="LABEL,...", help="keep these labels only")
    group.add_argument(
        "--remove-small-blobs",
        metavar="MM3",
        type=_volume,
        default=0.0,
        help="drop pieces below this volume",
    )
    existing = group.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        dest="existing",
        action="store_const",
        const="overwrite",
        default="refuse",
        help="replace outputs",
    )
    existing.add_argument(
        "--continue",
        dest="existing",
        action="store_const",
        const="continue",
        help="skip what is done",
    )
