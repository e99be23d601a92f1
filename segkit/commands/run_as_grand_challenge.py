"""segkit run-as grand-challenge: segment the case of a job on grand-challenge.org."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.commands.platform_run import add_folders, chosen_model, platform_parser, segment
from segkit.errors import InputError, SeveralSeries
from segkit.inference.files.outputs import Job
from segkit.io.dicom.series.image_groups import MixedImages
from segkit.platforms.grand_challenge import (
    INPUT,
    MODEL,
    OUTPUT,
    OUTPUT_PATH,
    TIFF,
    job,
    relative_path,
    slugs_of,
)
from segkit.platforms.tiff_resolution import copy_resolution

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle


def run(arguments: Sequence[str]) -> int:
    """Segment the case that inputs.json describes, and return the exit code."""
    parser = platform_parser(
        "grand-challenge",
        "Segment the case of a job on grand-challenge.org, as its inputs.json describes it. "
        f"The model is the content of {MODEL}, if there is one.",
    )
    add_folders(parser, INPUT, OUTPUT)
    parser.add_argument(
        "--output-path",
        metavar="PATH",
        default=OUTPUT_PATH,
        help=f"relative path of the output socket (default: {OUTPUT_PATH})",
    )
    parser.add_argument(
        "--socket",
        metavar="CHANNEL=SLUG",
        nargs="+",
        default=[],
        help="input socket of each channel (default: the only one)",
    )
    parser.add_argument(
        "--model-folder", metavar="DIR", type=Path, default=MODEL, help=f"(default: {MODEL})"
    )
    given = parser.parse_args(arguments)
    slugs = slugs_of(given.socket)
    place = given.output / relative_path(given.output_path)
    model = chosen_model(given.model, given.model_folder)
    try:
        return segment(
            given, model, lambda channels, _: [job(given.input, place, channels, slugs)], _describe
        )
    except SeveralSeries as error:
        raise _not_one_series(given.input, error.found) from None
    except MixedImages as error:
        raise _not_one_series(given.input, f"{error.where}: {error.found}") from None


def _not_one_series(folder: Path, found: str) -> InputError:
    """Return an error without the advice for a command line, which a job does not have."""
    return InputError(
        folder,
        expected="one series that forms one volume in each DICOM input of the job",
        found=found,
        remedy="Start the job again with the images of one volume only.",
    )


def _describe(jobs: Sequence[Job], _: Bundle) -> None:
    for done in jobs:
        if done.output.suffix == TIFF:
            copy_resolution(done.scan.where, done.output)
