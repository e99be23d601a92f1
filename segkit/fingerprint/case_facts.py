"""Measure one case: geometry, labels and values.

Axes are X, Y, Z after the scan is reoriented to the nearest RAS+ orientation. Lengths are in the
unit of the dataset, mm or px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.case_files import case_labels, case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.fingerprint.channel_facts import ChannelFacts, channel_facts, voxels_hash
from segkit.fingerprint.label_facts import LabelFacts, Point, border_share, label_facts
from segkit.labels.scheme import membership
from segkit.preprocessing.labels import to_indices
from segkit.preprocessing.orient_and_crop import AxisMap, content_box, to_ras
from segkit.volume import Box, Grid, Shape, Unit, Volume

SEED = 1234


@dataclass(frozen=True)
class CaseFacts:
    """Measurements of one case, before and after its constant border is cropped."""

    id: str
    shape: Shape
    """Number of voxels along X, Y, Z."""
    spacing: Point
    """Voxel spacing along X, Y, Z."""
    cropped: Shape
    """Number of voxels along X, Y, Z without the constant border."""
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    """Facts of the labels that occur in the case."""
    outside: int = 0
    """Number of labeled voxels in the constant border."""
    constant: tuple[str, ...] = ()
    """Names of channels whose voxels all have the same value."""
    labelled: bool = True
    """True if the case has a label map."""
    ignored: int = 0
    """Number of voxels with the ignore value."""
    channels: tuple[ChannelFacts, ...] = ()
    border: float = 0.0
    """Labeled fraction of the voxels on the faces of the scan."""
    voxels_hash: str = ""
    """Hash of the voxels, which does not depend on how they are stored."""

    @property
    def size(self) -> Point:
        """Size of the field of view along X, Y, Z."""
        x, y, z = (number * edge for number, edge in zip(self.shape, self.spacing, strict=True))
        return (x, y, z)


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """Facts of one case, and values sampled from its labeled voxels."""

    facts: CaseFacts
    unit: Unit
    samples: NDArray[Any]
    """Values (C, N) of N labeled voxels; N is 0 if there is none."""


def measure_case(case: Case, dataset: Dataset, number: int = 0, draws: int = 1) -> MeasuredCase:
    """Read and measure one case.

    Args:
        case: the files of the case.
        dataset: names of channels and labels.
        number: index of the case in the dataset, which seeds the random samples.
        draws: number of labeled voxels to sample.

    Raises:
        InputError: a file cannot be used, channels or labels are on different grids, or label
            values are unknown.
    """
    return measure_voxels(read_voxels(case, dataset), case, dataset, number, draws)


@dataclass(frozen=True, eq=False)
class CaseVoxels:
    """Scan and label map of one case in the nearest RAS+ orientation."""

    scan: Volume
    """The scan (C, X, Y, Z)."""
    indices: NDArray[Any]
    """Label index (X, Y, Z) of each voxel; one above the number of targets is ignored."""
    axis_map: AxisMap
    """Map from the axes of the file to RAS+."""

    def annotated(self, dataset: Dataset) -> NDArray[Any]:
        """Return the label indices with ignored voxels as background; no copy without any."""
        if dataset.ignore is None:
            return self.indices
        return np.where(self.indices > len(dataset.targets), 0, self.indices)


def read_voxels(case: Case, dataset: Dataset) -> CaseVoxels:
    """Read the scan and the label map of one case.

    Raises:
        InputError: as `measure_case`.
    """
    volume = case_scan(case.images)
    check_channels(volume, case, dataset)
    scan, axis_map = to_ras(volume)
    indices = axis_map.apply(read_indices(case, dataset, volume.grid).array)[0]
    return CaseVoxels(scan, indices, axis_map)


def measure_voxels(
    voxels: CaseVoxels, case: Case, dataset: Dataset, number: int = 0, draws: int = 1
) -> MeasuredCase:
    """Measure one case that has been read; arguments as for `measure_case`."""
    scan = voxels.scan
    box = content_box(scan.array)
    indices = voxels.annotated(dataset)
    samples, sampled_indices = _sample(scan.array, indices, number, draws)
    channels = channel_facts(scan.array, samples)
    labels = label_facts(indices, scan.spacing, dataset)
    facts = CaseFacts(
        id=case.id,
        shape=scan.grid.shape,
        spacing=scan.spacing,
        cropped=scan.with_array(scan.array[(slice(None), *box)]).grid.shape,
        labels=_with_medians(labels, samples, sampled_indices, dataset),
        outside=_labeled_outside(indices, box),
        constant=_constant_channels(channels, dataset),
        labelled=case.label is not None,
        ignored=int(np.count_nonzero(voxels.indices) - np.count_nonzero(indices)),
        channels=channels,
        border=border_share(indices),
        voxels_hash=voxels_hash(scan.array),
    )
    return MeasuredCase(facts, scan.unit, samples)


def read_indices(case: Case, dataset: Dataset, grid: Grid) -> Volume:
    """Return the label map of a case as indices (1, X, Y, Z) on the ``grid`` of its scan.

    See `to_indices`. Without a label map, all indices are 0.

    Raises:
        InputError: the file cannot be used, has a different grid, or has unknown values.
    """
    if case.label is None:
        return Volume(np.zeros((1, *grid.shape), dtype=np.uint8), grid.affine, grid.unit)
    labels = case_labels(
        case.label, case.images[0], grid, dataset.value_names, subset=dataset.subset
    )
    indices = to_indices(
        labels.array, dataset.targets, dataset.subset, case.label, ignore=dataset.ignore
    )
    return labels.with_array(indices)


def case_warnings(facts: CaseFacts) -> dict[str, str]:
    """Return warnings about a case that is unusual but can be used, by the name of their check."""
    warnings = {}
    if facts.constant:
        names = ", ".join(facts.constant)
        channels = "channels" if len(facts.constant) > 1 else "channel"
        have = "have" if len(facts.constant) > 1 else "has"
        warnings["constant_image"] = f"{channels} {names} {have} one constant value"
    if not facts.labelled:
        warnings["no_label_map"] = "there is no label map"
    elif facts.ignored == math.prod(facts.shape):
        warnings["empty_label_map"] = "nothing is annotated: every voxel has the ignore value"
    elif not facts.labels:
        warnings["empty_label_map"] = "no voxel of any label (foreground) in the label map"
    if facts.outside:
        warnings["labels_in_border"] = (
            f"{facts.outside} labeled voxels lie in the scan's constant border"
        )
    return warnings


def check_channels(volume: Volume, case: Case, dataset: Dataset) -> None:
    """Raise an InputError if a scan has another number of channels than the dataset names."""
    if volume.channels != len(dataset.channels):
        raise InputError(
            case.images[0],
            expected=f"{len(dataset.channels)} channels ({', '.join(dataset.channels)})",
            found=f"{volume.channels}",
            remedy="Give every case the channels that the dataset names (dataset.channels=[...]).",
        )


def _constant_channels(channels: tuple[ChannelFacts, ...], dataset: Dataset) -> tuple[str, ...]:
    return tuple(
        name
        for name, facts in zip(dataset.channels, channels, strict=True)
        if facts.lowest == facts.highest
    )


def _labeled_outside(indices: NDArray[Any], box: Box) -> int:
    return int(np.count_nonzero(indices) - np.count_nonzero(indices[box]))


def _sample(
    array: NDArray[Any], indices: NDArray[Any], number: int, draws: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return values (C, N) and label indices (N,) of random labeled voxels, or none (N = 0)."""
    labeled = np.flatnonzero(indices)
    if not labeled.size:
        return np.empty((array.shape[0], 0), dtype=np.float32), np.empty(0, indices.dtype)
    random = np.random.Generator(np.random.Philox(key=[SEED, number]))
    x, y, z = np.unravel_index(labeled[random.integers(labeled.size, size=draws)], indices.shape)
    return np.asarray(array[:, x, y, z], dtype=np.float32), indices[x, y, z]


def _with_medians(
    facts: dict[str, LabelFacts],
    samples: NDArray[Any],
    sampled_indices: NDArray[Any],
    dataset: Dataset,
) -> dict[str, LabelFacts]:
    """Return the facts of labels, with the median of each channel over their samples (C, N)."""
    holds = np.array(membership(dataset.labels, dataset.regions))
    rows = dict(zip(dataset.labels, holds, strict=True))
    with_medians = {}
    for name, label in facts.items():
        inside = samples[:, rows[name][sampled_indices]]
        medians: tuple[float, ...] = ()
        if inside.size:
            medians = tuple(float(median) for median in np.median(inside, axis=1))
        with_medians[name] = replace(label, medians=medians)
    return with_medians
