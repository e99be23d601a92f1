"""segkit run-as xnat: segment the scans that XNAT's container service has mounted."""

from __future__ import annotations

from collections.abc import Sequence

from segkit.commands.platform_run import add_folders, chosen_model, platform_parser, segment
from segkit.platforms.folder_jobs import folder_jobs
from segkit.platforms.xnat import INPUT, OUTPUT


def run(arguments: Sequence[str]) -> int:
    """Segment every scan and every DICOM series in the input folder, and return the exit code."""
    parser = platform_parser(
        "xnat",
        "Segment every scan and every DICOM series of a resource or a session of XNAT: DICOM "
        "becomes DICOM-SEG, other scans .nii.gz.",
    )
    add_folders(parser, INPUT, OUTPUT)
    given = parser.parse_args(arguments)
    return segment(
        given,
        chosen_model(given.model),
        lambda channels, plan: folder_jobs(given.input, given.output, channels, plan.unit),
    )
