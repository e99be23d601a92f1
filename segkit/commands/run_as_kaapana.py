"""segkit run-as kaapana: segment the items of an input channel of Kaapana."""

from __future__ import annotations

from collections.abc import Sequence

from segkit.commands.platform_run import add_folders, chosen_model, platform_parser, segment
from segkit.platforms.kaapana import INPUT, OUTPUT, jobs


def run(arguments: Sequence[str]) -> int:
    """Segment every item of the input channel, and return the exit code."""
    parser = platform_parser(
        "kaapana",
        "Segment every item of Kaapana's input channel: each is a folder of scans or DICOM, and "
        "its results go to the folder of the same name in the output channel.",
    )
    add_folders(parser, INPUT, OUTPUT)
    given = parser.parse_args(arguments)
    return segment(
        given,
        chosen_model(given.model),
        lambda channels, plan: jobs(given.input, given.output, channels, plan.unit),
    )
