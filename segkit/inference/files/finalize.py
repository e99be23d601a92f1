"""What happens to a label map between the model and its file, and the memory that this takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.files.names import DICOM, PICTURE, suffix_of
from segkit.inference.files.outputs import Job
from segkit.inference.scoring.probabilities import Kind
from segkit.inference.scoring.result_memory import block_bytes
from segkit.inference.scoring.to_scan_grid import label_dtype
from segkit.labels.postprocessing import has_label, keep_labels, merge_regions, remove_small_blobs
from segkit.plans.plan import Plan
from segkit.volume import Volume

STRUCTURES_BYTES = 12
"""For each voxel, of an RT Structure Set; measured on outlines that are ragged, and what smooth ones take is less."""
LIBRARIES = 110 << 20
"""Bytes of what writes DICOM, once it is imported."""
PIECE = 32 << 20
"""Bytes of a file that is written in pieces, and of the pieces before they are packed."""


PROBABILITIES, PROBABILITY_BYTES = 320 << 20, 24
"""Bytes of what writes probabilities, in pieces and by way of numbers of 64 bits: at the most, and for each voxel and
label."""


@dataclass(frozen=True)
class Finish:
    """What happens to a label map before its writing."""

    labels: Mapping[str, int]
    """The labels that are kept: name to value."""
    small_blobs: float = 0.0
    """Pieces below this volume (mm3; for pictures px2) are removed."""
    labelmap: bool = False
    """DICOM-SEG is written as the kind LABELMAP."""
    probabilities: Kind = "uint8"
    """The type of numbers of probabilities, where they are written."""


def finished(labels: Volume, plan: Plan, finish: Finish) -> Volume:
    """The label map (1, X, Y, Z) with the kept labels, and without small pieces."""
    array, voxel = labels.array[0], labels.grid.voxel_volume
    if plan.regions:
        masks, values = (
            _regions(array, plan, finish, voxel),
            [plan.labels[name] for name in _kept(plan, finish)],
        )
        array = merge_regions(masks, values, array.dtype)
    else:
        if len(finish.labels) < len(plan.labels):
            array = keep_labels(array, list(finish.labels.values()))
        if finish.small_blobs > 0:
            array = remove_small_blobs(array, voxel, finish.small_blobs)
    return labels.with_array(array[None])


def _kept(plan: Plan, finish: Finish) -> list[str]:
    return [name for name in plan.labels if name in finish.labels]


def _regions(
    array: NDArray[Any], plan: Plan, finish: Finish, voxel: float
) -> Iterator[NDArray[np.bool_]]:
    """The kept regions, each without its own small pieces: where one goes, the region around it comes back."""
    for name in _kept(plan, finish):
        mask = has_label(array, plan.regions[name])
        yield (
            remove_small_blobs(mask, voxel, finish.small_blobs) if finish.small_blobs > 0 else mask
        )


def bytes_after(plan: Plan, job: Job, finish: Finish, voxels: int) -> int:
    """About how many bytes are taken at most, once the label map of so many voxels and what goes with it are there."""
    label, blobs = label_dtype(plan.label_values).itemsize, finish.small_blobs > 0
    copies = (
        label + 1 + blobs
        if plan.regions
        else label * ((len(finish.labels) < len(plan.labels)) + blobs)
    )
    blocks = block_bytes(voxels) if copies or {"record", "preview"} & set(job.extras) else 0
    shares = (
        PROBABILITY_BYTES * len(plan.label_values) * voxels if "probabilities" in job.extras else 0
    )
    return max(
        copies * voxels + blocks, min(PROBABILITIES, shares), _writing(job, finish, label, voxels)
    )


def _writing(job: Job, finish: Finish, label: int, voxels: int) -> int:
    suffix, found = suffix_of(job.output), [min(PIECE, label * voxels)]
    if suffix == DICOM:
        found.append(
            LIBRARIES + int((2 + len(finish.labels) / 4) * voxels)
        )  # a bit of each label's frames, twice
    if suffix in PICTURE:
        found.append(2 * voxels * (4 if "uncertainty" in job.extras else label))
    if "structures" in job.extras:
        found.append(LIBRARIES + STRUCTURES_BYTES * voxels)
    return max(found)
