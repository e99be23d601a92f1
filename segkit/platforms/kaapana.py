"""Kaapana (0.6): the processing-container.json of the Task API, and its channels.

Source: kaapana/kaapana, lib/task_api/task_api/processing_container/pc_models.py and
docs/source/development_guide/processing_container_dev_guide.rst.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.files.names import natural_key
from segkit.platforms.facts import Facts, json_text

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
    inside = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    if not inside:
        raise InputError(
            folder,
            expected="a folder for each item, with the scans of the item",
            found="no folder in it" if folder.is_dir() else "no such folder",
            remedy="Connect the input channel to a task that writes a folder for each item.",
        )
    return sorted(inside, key=lambda path: natural_key(path.name))
