"""segkit run-as grand-challenge: segment the case of a job on grand-challenge.org."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.commands.platform_run import add_folders, chosen_model, platform_parser, segment
from segkit.inference.files.outputs import Job
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
    return segment(
        given,
        chosen_model(given.model, given.model_folder),
        lambda channels, _: [job(given.input, place, channels, slugs)],
        _describe,
    )


def _describe(jobs: Sequence[Job], _: Bundle) -> None:
    for done in jobs:
        if done.output.suffix == TIFF:
            copy_resolution(done.scan.where, done.output)
