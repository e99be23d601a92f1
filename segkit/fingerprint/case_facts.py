"""What is measured about one case.

Axes are X, Y, Z after the scan has been turned to the nearest RAS+ orientation; lengths are in the dataset's unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.case_files import case_labels, case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.fingerprint.channel_facts import ChannelFacts, channel_facts, voxels_hash
from segkit.fingerprint.label_facts import LabelFacts, Point, border_share, label_facts
from segkit.labels.scheme import membership
from segkit.preprocessing.crop import content_box
from segkit.preprocessing.labels import to_indices
from segkit.preprocessing.orient import to_ras
from segkit.volume import Box, Grid, Shape, Unit, Volume

SEED = 1234


@dataclass(frozen=True)
class CaseFacts:
    """Geometry of one case before and after its constant border is cut away."""

    id: str
    shape: Shape
    spacing: Point
    cropped: Shape
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    """Only those that the case has."""
    outside: int = 0
    """Labelled voxels in the constant border."""
    constant: tuple[str, ...] = ()
    """Channels that have one value everywhere."""
    labelled: bool = True
    """Whether the case has a label map."""
    ignored: int = 0
    """Voxels that nobody has annotated."""
    channels: tuple[ChannelFacts, ...] = ()
    border: float = 0.0
    """Share of the voxels on the faces of the scan that are labelled."""
    voxels_hash: str = ""
    """Equal for two cases whose images have the same voxels, however they are stored."""

    @property
    def size(self) -> Point:
        """Edges of the field of view."""
        x, y, z = (number * edge for number, edge in zip(self.shape, self.spacing, strict=True))
        return (x, y, z)


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """Facts of one case with intensities (channels, N) drawn from its labelled voxels; N is 0 without any."""

    facts: CaseFacts
    unit: Unit
    samples: NDArray[Any]


def measure_case(case: Case, dataset: Dataset, number: int = 0, draws: int = 1) -> MeasuredCase:
    """Read and measure one case.

    Args:
        case: its files.
        dataset: names of channels and labels.
        number: the case's place in the dataset, which decides what is drawn.
        draws: how many labelled voxels to draw.

    Raises:
        InputError: unusable files, channels or labels on different grids, unknown label values.
    """
    volume = case_scan(case.images)
    _check_channels(volume, case.images[0], dataset)
    turned, axis_map = to_ras(volume)
    box = content_box(turned.array)
    indices = axis_map.apply(read_indices(case, dataset, volume.grid).array)[0]
    ignored = indices > len(dataset.targets)
    indices = np.where(ignored, 0, indices)
    samples, which = _drawn(turned.array, indices, number, draws)
    channels = channel_facts(turned.array, samples)
    facts = CaseFacts(
        id=case.id,
        shape=turned.grid.shape,
        spacing=turned.spacing,
        cropped=turned.with_array(turned.array[(slice(None), *box)]).grid.shape,
        labels=_with_medians(
            label_facts(indices, turned.spacing, dataset), samples, which, dataset
        ),
        outside=_outside(indices, box),
        constant=tuple(
            name
            for name, facts in zip(dataset.channels, channels, strict=True)
            if facts.lowest == facts.highest
        ),
        labelled=case.label is not None,
        ignored=int(np.count_nonzero(ignored)),
        channels=channels,
        border=border_share(indices),
        voxels_hash=voxels_hash(turned.array),
    )
    return MeasuredCase(facts, volume.unit, samples)


def read_indices(case: Case, dataset: Dataset, grid: Grid) -> Volume:
    """Return the label map of a case on the ``grid`` of its scan as indices, see `to_indices`; zeros without one."""
    if case.label is None:
        return Volume(np.zeros((1, *grid.shape), dtype=np.uint8), grid.affine, grid.unit)
    labels = case_labels(
        case.label, case.images[0], grid, dataset.value_names, subset=dataset.subset
    )
    found = to_indices(
        labels.array, dataset.targets, dataset.subset, case.label, ignore=dataset.ignore
    )
    return labels.with_array(found)


def case_warnings(facts: CaseFacts) -> list[str]:
    """What is odd about a case that can be used all the same."""
    warnings = [f"channel {name} has one constant value" for name in facts.constant]
    if not facts.labelled:
        warnings.append("there is no label map")
    elif facts.ignored == math.prod(facts.shape):
        warnings.append("nothing is annotated: every voxel has the ignore value")
    elif not facts.labels:
        warnings.append("no voxel of any label (foreground) in the label map")
    if facts.outside:
        warnings.append(f"{facts.outside} labelled voxels lie in the scan's constant border")
    return warnings


def _check_channels(volume: Volume, path: Path, dataset: Dataset) -> None:
    if volume.channels != len(dataset.channels):
        raise InputError(
            path,
            expected=f"{len(dataset.channels)} channels ({', '.join(dataset.channels)})",
            found=f"{volume.channels}",
            remedy="Give every case the channels that the dataset names (dataset.channels=[...]).",
        )


def _outside(indices: NDArray[Any], box: Box) -> int:
    return int(np.count_nonzero(indices) - np.count_nonzero(indices[box]))


def _drawn(
    array: NDArray[Any], indices: NDArray[Any], number: int, draws: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Values (C, N) and indices (N) of labelled voxels; N is 0 without any."""
    labelled = np.flatnonzero(indices)
    if not labelled.size:
        return np.empty((array.shape[0], 0), dtype=np.float32), np.empty(0, indices.dtype)
    random = np.random.Generator(np.random.Philox(key=[SEED, number]))
    x, y, z = np.unravel_index(labelled[random.integers(labelled.size, size=draws)], indices.shape)
    return np.asarray(array[:, x, y, z], dtype=np.float32), indices[x, y, z]


def _with_medians(
    facts: dict[str, LabelFacts], samples: NDArray[Any], which: NDArray[Any], dataset: Dataset
) -> dict[str, LabelFacts]:
    """The facts of labels with the medians of the samples (C, N) that lie in them."""
    held = dict(
        zip(dataset.labels, np.array(membership(dataset.labels, dataset.regions)), strict=True)
    )
    found = {}
    for name, label in facts.items():
        inside = samples[:, held[name][which]]
        medians = tuple(float(each) for each in np.median(inside, axis=1)) if inside.size else ()
        found[name] = replace(label, medians=medians)
    return found
