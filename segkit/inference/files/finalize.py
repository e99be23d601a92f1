"""Finalize a label map before it is written, and estimate the memory that writing takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.files.names import DICOM, PICTURE, suffix_of
from segkit.inference.files.outputs import Job
from segkit.inference.scoring.to_scan_grid import block_bytes
from segkit.labels.postprocessing import has_label, keep_labels, merge_regions, remove_small_blobs
from segkit.labels.voxel_values import Kind, Temperatures, label_dtype
from segkit.plans.plan import Plan
from segkit.volume import Volume

STRUCTURES_BYTES = 12
"""Bytes per voxel for an RT Structure Set, measured on ragged outlines; smooth ones take less."""
LIBRARY_BYTES = 110 << 20
"""Bytes of the libraries that write DICOM, once they are imported."""
CHUNK_BYTES = 32 << 20
"""Bytes of the chunks in which a file is compressed and written."""
PROBABILITY_BYTES, PROBABILITY_BYTES_PER_VALUE = 320 << 20, 24
"""Memory for writing probabilities in chunks as 64-bit numbers: upper bound in bytes, and bytes per
voxel and label."""


@dataclass(frozen=True)
class FinalizeOptions:
    """Changes to a label map before it is written, and the number types of the files."""

    labels: Mapping[str, int]
    """Value of each label that is kept, by name."""
    small_blobs: float = 0.0
    """Volume in mm3 (px2 for pictures) below which connected components are removed."""
    labelmap: bool = False
    """True writes DICOM-SEG of the kind LABELMAP, False of the kind BINARY."""
    probabilities: Kind = "uint8"
    """Number type of the probabilities, where they are written."""
    temperatures: Temperatures = None
    """Temperature of each output, which calibrates probabilities and uncertainty."""


def finalize(labels: Volume, plan: Plan, options: FinalizeOptions) -> Volume:
    """Return a label map (1, X, Y, Z) with only the kept labels, and without small components."""
    array, voxel_volume = labels.array[0], labels.grid.voxel_volume
    if plan.regions:
        values = [plan.labels[name] for name in _kept(plan, options)]
        masks = _regions(array, plan, options, voxel_volume)
        array = merge_regions(masks, values, array.dtype)
    else:
        if len(options.labels) < len(plan.labels):
            array = keep_labels(array, list(options.labels.values()))
        if options.small_blobs > 0:
            array = remove_small_blobs(array, voxel_volume, options.small_blobs)
    return labels.with_array(array[None])


def _kept(plan: Plan, options: FinalizeOptions) -> list[str]:
    return [name for name in plan.labels if name in options.labels]


def _regions(
    array: NDArray[Any], plan: Plan, options: FinalizeOptions, voxel_volume: float
) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks of the kept regions, each without its own small components.

    Where a component is removed, the region around it becomes visible again.
    """
    for name in _kept(plan, options):
        mask = has_label(array, plan.regions[name])
        if options.small_blobs > 0:
            mask = remove_small_blobs(mask, voxel_volume, options.small_blobs)
        yield mask


def bytes_after(plan: Plan, job: Job, options: FinalizeOptions, voxels: int) -> int:
    """Return about how many bytes are needed once all results are in memory.

    These are copies of the label map, statistics and pictures, and the files that are written.

    Args:
        plan: plan of the model.
        job: the files to write.
        options: changes to the label map.
        voxels: number of voxels of the scan.
    """
    label = label_dtype(plan.label_values).itemsize
    copies = _copy_bytes(plan, options, label)
    works_in_blocks = copies > 0 or "record" in job.extras or "preview" in job.extras
    blocks = block_bytes(voxels) if works_in_blocks else 0
    probabilities = 0
    if "probabilities" in job.extras:
        values = len(plan.label_values) * voxels
        probabilities = min(PROBABILITY_BYTES, PROBABILITY_BYTES_PER_VALUE * values)
    writing = _writing_bytes(job, options, label, voxels)
    return max(copies * voxels + blocks, probabilities, writing)


def _copy_bytes(plan: Plan, options: FinalizeOptions, label: int) -> int:
    """Return the bytes per voxel of the copies that `finalize` makes."""
    removes_blobs = options.small_blobs > 0
    if plan.regions:
        return label + 1 + (1 if removes_blobs else 0)
    copies = 0
    if len(options.labels) < len(plan.labels):
        copies += 1
    if removes_blobs:
        copies += 1
    return label * copies


def _writing_bytes(job: Job, options: FinalizeOptions, label: int, voxels: int) -> int:
    suffix, needed = suffix_of(job.output), [min(CHUNK_BYTES, label * voxels)]
    if suffix == DICOM:
        # The frames of each label take one bit per voxel, and exist twice.
        needed.append(LIBRARY_BYTES + int((2 + len(options.labels) / 4) * voxels))
    if suffix in PICTURE:
        needed.append(2 * voxels * (4 if "uncertainty" in job.extras else label))
    if "structures" in job.extras:
        needed.append(LIBRARY_BYTES + STRUCTURES_BYTES * voxels)
    return max(needed)
