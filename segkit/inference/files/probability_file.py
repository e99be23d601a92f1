"""Write the probabilities of all labels beside the label map, and the label of each channel."""

from __future__ import annotations

import json
import logging

from segkit.files.atomic import write_text
from segkit.files.names import ITK, suffix_of
from segkit.inference.files.outputs import Job
from segkit.inference.prediction import Prediction, channel_names
from segkit.io import write_image
from segkit.io.memory import MAPPED_FROM
from segkit.labels.voxel_values import STEPS, Kind
from segkit.plans.plan import Plan
from segkit.units import size_text
from segkit.volume import Grid

log = logging.getLogger(__name__)

_BYTES: dict[Kind, int] = {"uint8": 1, "float32": 4}


def log_size(job: Job, plan: Plan, grid: Grid, kind: Kind) -> None:
    """Log, before the prediction, how much disk space large probabilities of a scan take.

    Args:
        job: the job.
        plan: plan of the model.
        grid: grid of the scan.
        kind: number type of the probabilities.
    """
    numbers = len(channel_names(plan)) * grid.voxels
    if "probabilities" not in job.extras or numbers * _BYTES[kind] < MAPPED_FROM:
        return
    written = numbers * (4 if suffix_of(job.probabilities) in ITK else _BYTES[kind])
    log.info(
        "%s: probabilities in %d channels take %s of temporary data in this folder, "
        "and %s as an uncompressed file",
        job.probabilities,
        len(channel_names(plan)),
        size_text(numbers * _BYTES[kind]),
        size_text(written),
    )


def write_probabilities(job: Job, prediction: Prediction, plan: Plan, kind: Kind) -> None:
    """Write the map of probabilities, and a JSON file with name and value of each channel.

    Raises:
        InputError: a folder that cannot be written, or a full disk.
    """
    if prediction.probabilities is None:
        return
    names = prediction.channel_names
    write_image(job.probabilities, prediction.probabilities, like=job.scan.where, channels=names)
    values = [plan.labels.get(name, 0) for name in names]
    content = {
        "file": job.probabilities.name,
        "channels": [
            {"label": name, "value": value} for name, value in zip(names, values, strict=True)
        ],
        "overlapping": bool(plan.regions),
        "step": 1 / STEPS if kind == "uint8" else None,
        **({"temperatures": list(prediction.temperatures)} if prediction.temperatures else {}),
    }
    write_text(job.probability_names, json.dumps(content, indent=2) + "\n")
