"""segkit run-as bids: segment a BIDS dataset with the command line of BIDS Apps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.bundle.lookup import model_name
from segkit.commands.flags import Parser
from segkit.commands.platform_run import chosen_model, platform_parser, segment
from segkit.errors import UsageError
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.outputs import Job
from segkit.platforms.bids_app import LEVEL
from segkit.platforms.bids_dataset import kinds_of, scans
from segkit.platforms.bids_derivatives import (
    check_derivatives,
    derivative_jobs,
    write_beside,
    write_description,
)

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle


def run(arguments: Sequence[str]) -> int:
    """Segment the images of a dataset, describe the label maps, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    check_derivatives(given.output_dir, given.bids_dir)
    model = chosen_model(given.model)

    def describe(jobs: Sequence[Job], bundle: Bundle) -> None:
        if jobs:
            write_description(given.output_dir, given.bids_dir, bundle)
        for job in jobs:
            write_beside(job, given.bids_dir, bundle.plan.labels)

    return segment(
        given, model, lambda channels, _: _jobs(given, model_name(model), channels), describe
    )


def _jobs(given: argparse.Namespace, model: str, channels: ModelChannels) -> list[Job]:
    kinds = kinds_of(channels, _suffixes(given.suffix))
    found = scans(given.bids_dir, channels, kinds, given.participant_label, given.session_label)
    return derivative_jobs(given.bids_dir, given.output_dir, found, model)


def _suffixes(words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for word, (name, _, suffix) in zip(words, pairs, strict=True):
        if not (name and suffix):
            raise UsageError(f"--suffix {word}: write CHANNEL=SUFFIX, such as T1=T1w")
    return {name: suffix for name, _, suffix in pairs}


def _parser() -> Parser:
    parser = platform_parser(
        "bids",
        "Segment the images in the folders anat of a BIDS dataset. For each, a dseg.nii.gz with "
        "its table of labels goes to the same place in OUTPUT_DIR. The image also takes these "
        "arguments without 'run-as bids', as BIDS Apps do.",
    )
    parser.add_argument("bids_dir", metavar="BIDS_DIR", type=Path, help="the dataset")
    parser.add_argument(
        "output_dir", metavar="OUTPUT_DIR", type=Path, help="the folder of the derivatives"
    )
    parser.add_argument(
        "analysis_level", metavar=LEVEL, choices=[LEVEL], help="the only level of analysis"
    )
    _add_labels(parser, "participant")
    _add_labels(parser, "session")
    parser.add_argument(
        "--suffix",
        metavar="CHANNEL=SUFFIX",
        nargs="+",
        default=[],
        help="images of a channel, such as T1=T1w or T1c=ce-gadolinium_T1w (default: by the name "
        "of the channel)",
    )
    return parser


def _add_labels(parser: Parser, noun: str) -> None:
    parser.add_argument(
        f"--{noun}-label",
        f"--{noun}_label",
        metavar="LABEL",
        nargs="+",
        default=[],
        help=f"only these {noun}s",
    )
