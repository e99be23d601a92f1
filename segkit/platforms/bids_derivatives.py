"""BIDS derivatives: where label maps go, and the files that describe them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.bundle.card import ModelCard
from segkit.errors import UsageError, printable
from segkit.files.atomic import write_text
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.platforms.bids_dataset import DESCRIPTION, VERSION
from segkit.platforms.facts import json_text

LINK = "raw"
"""Name of the dataset of the scans in the derivatives' own files."""


def segmentation_label(name: str) -> str:
    """Return a model's name as the value of the entity ``seg``: letters and digits only.

    >>> segmentation_label("hippocampus_v2.1")
    'hippocampusv21'
    """
    return re.sub("[^0-9A-Za-z]", "", name) or "segkit"


def derivative_jobs(dataset: Path, output: Path, scans: list[Scan], model: str) -> list[Job]:
    """Return the job of each scan: its dseg.nii.gz in the same folders below ``output``."""
    label = segmentation_label(model)
    return [
        Job(
            scan,
            output / scan.where.parent.relative_to(dataset) / f"{scan.id}_seg-{label}_dseg.nii.gz",
        )
        for scan in scans
    ]


def check_derivatives(output: Path, dataset: Path) -> None:
    """Refuse an output folder that is the dataset itself, or holds other data.

    Raises:
        UsageError: such a folder.
    """
    if output.resolve() == dataset.resolve():
        raise UsageError(f"{output}: the output must be another folder than the dataset")
    path = output / DESCRIPTION
    if path.exists() and _generator(path) != "segkit":
        raise UsageError(
            f"{path} is not of segkit; choose another output folder, such as {output / 'segkit'}"
        )


def _generator(path: Path) -> str:
    """Return the name of the program that a dataset's description names first."""
    try:
        return str(_generators(path)[0]["Name"])
    except (LookupError, TypeError):
        return ""


def _generators(path: Path) -> list[Any]:
    """Return the programs that a dataset's description names."""
    try:
        return list(json.loads(path.read_bytes())["GeneratedBy"])
    except (OSError, ValueError, LookupError, TypeError):
        return []


def write_description(output: Path, dataset: Path, card: ModelCard) -> None:
    """Write the description of the derivatives, with version, models and source.

    Models whose label maps are already in the folder stay in it.
    """
    own = {
        "Name": "segkit",
        "Version": __version__,
        "Description": f"Model {card.name} of {card.created}, hash {card.hash}. For research only.",
    }
    before = [entry for entry in _generators(output / DESCRIPTION) if entry != own]
    content = {
        "Name": "Label maps by segkit",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [*before, own],
        "DatasetLinks": {LINK: dataset.resolve().as_uri()},
    }
    write_text(output / DESCRIPTION, json_text(content) + "\n")


def write_beside(job: Job, dataset: Path, labels: dict[str, int]) -> None:
    """Write the table of the labels and the sidecar file of a label map."""
    # A tab or a line's end in a name would be another column or row.
    rows = [f"{value}\t{printable(name)}\n" for name, value in labels.items()]
    write_text(_beside(job, ".tsv"), "".join(["index\tname\n", *rows]))
    sources = [f"bids:{LINK}:{path.relative_to(dataset).as_posix()}" for path in job.scan.images]
    text = f"Segmentation of {', '.join(labels)} by segkit; value 0 is background"
    content = {"Description": text, "Manual": False, "SpatialReference": "orig", "Sources": sources}
    write_text(_beside(job, ".json"), json_text(content) + "\n")


def _beside(job: Job, suffix: str) -> Path:
    return job.output.with_name(job.output.name.removesuffix(".nii.gz") + suffix)
