"""Kaapana (0.6): the processing-container.json of the Task API, and its channels.

Source: kaapana/kaapana, lib/task_api/task_api/processing_container/pc_models.py and
docs/source/development_guide/processing_container_dev_guide.rst.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError, first_few
from segkit.files.names import natural_key
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.platforms.facts import Facts, json_text
from segkit.platforms.folder_jobs import NAME, folder_jobs
from segkit.volume import Unit

log = logging.getLogger(__name__)

INPUT, OUTPUT = Path("/input"), Path("/output")


def processing_container(facts: Facts) -> str:
    """Return /processing-container.json, with one task template."""
    return json_text(
        {
            "name": facts.name,
            "description": facts.description,
            "api_version": 1,
            "templates": [_template(facts)],
        }
    )


def _template(facts: Facts) -> dict[str, Any]:
    amounts: dict[str, Any] = {"memory": f"{facts.mebibytes}Mi"}
    if facts.gpu:
        amounts["nvidia.com/gpu"] = 1
    return {
        "identifier": "segment",
        "description": f"{facts.description} Every item of the input channel becomes an item of "
        "the same name in the output channel.",
        # The model is chosen by this variable, which a workflow may change.
        "env": [
            {
                "name": "SEGKIT_MODEL",
                "value": facts.model,
                "description": "Name of a model in the image; empty for the only one.",
            }
        ],
        "inputs": [
            _channel(
                "scans",
                INPUT,
                "A folder for each item, with the files of one or more DICOM series, or with scans "
                "such as .nii.gz or .nrrd.",
            )
        ],
        "outputs": [
            _channel(
                "segmentations",
                OUTPUT,
                "A folder for each item: a DICOM-SEG for every DICOM series, and .nii.gz for scans "
                "in other formats.",
            )
        ],
        "command": facts.without_model.command("kaapana"),
        "resources": {"limits": amounts, "requests": amounts},
    }


def _channel(name: str, place: Path, text: str) -> dict[str, str]:
    return {"name": name, "mounted_path": str(place), "description": text}


def items(folder: Path) -> Sequence[Path]:
    """Return the folders of the items of a channel, in natural order.

    Raises:
        InputError: the channel is not a folder, or it has no item.
    """
    inside = list(folder.iterdir()) if folder.is_dir() else []
    folders = sorted(
        (path for path in inside if path.is_dir()), key=lambda path: natural_key(path.name)
    )
    if not folders:
        raise InputError(
            folder,
            expected="a folder for each item, with the scans of the item",
            found="no folder in it" if folder.is_dir() else "no such folder",
            remedy="Connect the input channel to a task that writes a folder for each item.",
        )
    others = sorted(path.name for path in inside if path not in folders)
    if others:
        log.warning("%s: files beside the items are left out: %s", folder, first_few(others))
    return folders


def jobs(folder: Path, output: Path, channels: ModelChannels, unit: Unit) -> list[Job]:
    """Return the jobs of all items of a channel.

    An item without a scan becomes a job with a problem, so that the others are still segmented.

    Args:
        folder: folder of the input channel.
        output: folder of the output channel.
        channels: channels of the model.
        unit: unit of the model's grid.

    Raises:
        InputError: the channel has no item.
    """
    return [
        job
        for item in items(folder)
        for job in _jobs_of_item(item, output / item.name, channels, unit)
    ]


def _jobs_of_item(item: Path, output: Path, channels: ModelChannels, unit: Unit) -> list[Job]:
    try:
        return folder_jobs(item, output, channels, unit)
    except InputError as error:
        return [Job(Scan(item.name, (item,), problem=error), output / f"{NAME}.nii.gz")]
