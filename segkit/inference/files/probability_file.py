"""Probabilities of all labels as a file beside the label map, and as JSON what each channel of it is."""

from __future__ import annotations

import json
import logging

from segkit.files.atomic import write_text
from segkit.files.names import ITK, suffix_of
from segkit.inference.files.outputs import Job
from segkit.inference.prediction import Prediction, channel_names
from segkit.inference.scoring.probabilities import STEPS, Kind
from segkit.io import write_image
from segkit.io.memory_map import MAPPED_FROM
from segkit.plans.plan import Plan
from segkit.units import size_text
from segkit.volume import Grid

log = logging.getLogger(__name__)

_BYTES: dict[Kind, int] = {"uint8": 1, "float32": 4}


def log_size(job: Job, plan: Plan, grid: Grid, kind: Kind) -> None:
    """Log, before the work, how large the probabilities of a scan on this grid are, where they are large."""
    numbers = len(channel_names(plan)) * grid.voxels
    if "probabilities" not in job.extras or numbers * _BYTES[kind] < MAPPED_FROM:
        return
    written = numbers * (4 if suffix_of(job.probabilities) in ITK else _BYTES[kind])
    log.info(
        "%s: probabilities in %d channels take %s of temporary data in this folder, and %s as a file if not packed",
        *(
            job.probabilities,
            len(channel_names(plan)),
            size_text(numbers * _BYTES[kind]),
            size_text(written),
        ),
    )


def write_probabilities(job: Job, prediction: Prediction, plan: Plan, kind: Kind) -> None:
    """Write the map and the JSON with the name and the value of each channel.

    Raises:
        InputError: a place that cannot be written to, or a full disk.
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
    }
    write_text(job.probability_names, json.dumps(content, indent=2) + "\n")
