"""segkit run-as map: segment what a MONAI Application Package is given."""

from __future__ import annotations

import os
from collections.abc import Sequence

from segkit.bundle.lookup import DEFAULT_FOLDER
from segkit.commands.platform_run import add_folders, chosen_model, platform_parser, segment
from segkit.platforms.folder_jobs import folder_jobs
from segkit.platforms.map_package import input_folder, model_folder, output_folder


def run(arguments: Sequence[str]) -> int:
    """Segment every scan and every DICOM series in the input folder, and return the exit code."""
    parser = platform_parser(
        "map",
        "Segment every scan and every DICOM series in the folder that $HOLOSCAN_INPUT_PATH names: "
        "DICOM becomes DICOM-SEG, other scans .nii.gz. Models are also looked for in "
        "$HOLOSCAN_MODEL_PATH.",
    )
    add_folders(parser, input_folder(), output_folder())
    given = parser.parse_args(arguments)
    own = os.environ.get("SEGKIT_MODELS", DEFAULT_FOLDER)
    places = {**os.environ, "SEGKIT_MODELS": f"{own}{os.pathsep}{model_folder()}"}
    return segment(
        given,
        chosen_model(given.model, environment=places),
        lambda channels, plan: folder_jobs(given.input, given.output, channels, plan.unit),
    )
