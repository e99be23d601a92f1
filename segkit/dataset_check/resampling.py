"""Check whether labels survive when scans are resampled to a common voxel spacing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.geometry import edges_text, in_other_units
from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.fingerprint.case_facts import CaseFacts, read_indices
from segkit.fingerprint.label_facts import LabelFacts
from segkit.fingerprint.usual_spacing import Spacing, choose_slice_axis, usual_spacing
from segkit.io import open_source
from segkit.labels.scheme import membership
from segkit.preprocessing.orient_and_crop import to_ras
from segkit.preprocessing.resample import grid_shape, resample_labels
from segkit.volume import Unit

COARSER = 1.1
"""Ratio of the planned voxel spacing to that of the case above which voxels may be lost."""
AT_RISK = 3.0
"""Thickness of a label, in planned voxels, below which its resampling is tested."""
MAX_CASES = 20
"""Largest number of label maps that are read again, which may take seconds each."""
KEPT = 0.5
"""Fraction of its volume that a label must keep."""
ABSURD = 100
"""Increase in the number of voxels that indicates a wrong header, which other checks report."""


@dataclass(frozen=True)
class _Loss:
    """Volume of a label in one case before and after resampling, in mm^3 or px."""

    case: CaseFacts
    before: float
    after: float


def planned_spacing(measured: MeasuredDataset) -> Spacing | None:
    """Return the spacing that would be planned (2D for single slices), or None without cases."""
    if not measured.cases:
        return None
    return usual_spacing(measured.cases, choose_slice_axis(measured.cases, None))[0]


def labels_lost_by_resampling(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield the warnings of `lost_labels` for the planned spacing."""
    spacing = measured.spacing or planned_spacing(measured)
    if spacing:
        yield from lost_labels(measured, spacing)


def lost_labels(measured: MeasuredDataset, spacing: Spacing) -> Iterator[Problem]:
    """Yield a warning for each label that loses more than half of its volume by resampling.

    Only label maps in which a label is thin compared with ``spacing`` are read again. Cases whose
    header seems to be in another unit, which have their own warning, are left out.

    Args:
        measured: the dataset and the facts of its cases.
        spacing: voxel spacing (X, Y, Z) in mm or px to which scans are resampled.
    """
    cases = {case.id: case for case in measured.dataset.cases}
    losses: dict[str, list[_Loss]] = defaultdict(list)
    # A header in meters would be the reason for voxels of micrometers in all cases.
    odd = in_other_units(measured)
    usual = [facts for facts in measured.cases if facts.id not in odd]
    thicknesses = [(_min_thickness(facts, spacing), facts) for facts in usual]
    at_risk = [
        facts for thickness, facts in sorted(thicknesses, key=itemgetter(0)) if thickness < AT_RISK
    ]
    for facts in at_risk[:MAX_CASES]:
        names = [
            name
            for name, label in facts.labels.items()
            if _thickness_in_edges(label, facts, spacing) < AT_RISK
        ]
        volumes = _volumes_after(cases[facts.id], facts, measured.dataset, spacing, names=names)
        for name, after in volumes.items():
            before = facts.labels[name].volume
            if after < KEPT * before:
                losses[name].append(_Loss(facts, before, after))
    examined = f"{len(usual)} cases"
    if len(at_risk) > MAX_CASES:
        examined = f"the {MAX_CASES} cases with the thinnest labels"
    if odd:
        examined += f" ({len(odd)} that may be in another unit left out)"
    for name, losses_of_label in losses.items():
        yield dataset_warning(_message(name, losses_of_label, spacing, measured.unit, examined))


def _min_thickness(facts: CaseFacts, spacing: Spacing) -> float:
    """Return the smallest `_thickness_in_edges` in a case; infinity without labels."""
    return min(
        (_thickness_in_edges(label, facts, spacing) for label in facts.labels.values()),
        default=math.inf,
    )


def _thickness_in_edges(label: LabelFacts, facts: CaseFacts, spacing: Spacing) -> float:
    """Return the smallest thickness of a label, in voxels of ``spacing``, along coarsened axes.

    It is infinite if no axis becomes coarser.
    """
    axes = zip(spacing, facts.spacing, label.thickness, strict=True)
    return min(
        (
            thickness / planned
            for planned, edge, thickness in axes
            if planned is not None and planned > COARSER * edge
        ),
        default=math.inf,
    )


def _volumes_after(
    case: Case, facts: CaseFacts, dataset: Dataset, spacing: Spacing, *, names: Sequence[str]
) -> dict[str, float]:
    """Return the volumes of the labels ``names`` in the resampled label map, in mm^3 or px."""
    shape = grid_shape(facts.shape, facts.spacing, spacing)
    if not names or math.prod(shape) > ABSURD * math.prod(facts.shape):
        return {}
    indices = resample_labels(_indices(case, dataset), shape)
    holds = np.array(membership(dataset.labels, dataset.regions))
    counts = holds @ np.bincount(indices.ravel(), minlength=holds.shape[1])[: holds.shape[1]]
    voxel = math.prod(size / number for size, number in zip(facts.size, shape, strict=True))
    order = list(dataset.labels)
    return {name: float(counts[order.index(name)] * voxel) for name in names}


def _indices(case: Case, dataset: Dataset) -> NDArray[Any]:
    """Return the label indices (X, Y, Z) of a case in RAS+, with ignored voxels as background."""
    indices = read_indices(case, dataset, open_source(case.images[0]).grid)
    array = to_ras(indices)[0].array[0]
    return np.where(array > len(dataset.targets), 0, array)


def _message(
    name: str, losses: Sequence[_Loss], spacing: Spacing, unit: Unit, examined: str
) -> str:
    erased = [loss for loss in losses if not loss.after]
    worst = min(losses, key=lambda loss: loss.after / loss.before)
    scale, volume_unit = (1000, "ml") if unit == "mm" else (1, "px")
    edges = [min(loss.case.spacing[axis] for loss in losses) for axis in range(3)]
    finer = [round(min(edge, edges[axis]), 5) if edge else 1 for axis, edge in enumerate(spacing)]
    return (
        f"label {name}: resampling to voxels of {edges_text(spacing)} {unit}, which fit most cases,"
        f" erases it in {len(erased)} and more than halves it in {len(losses) - len(erased)} of"
        f" {examined} (such as {worst.case.id}: {worst.before / scale:.3g} {volume_unit} become"
        f" {worst.after / scale:.3g} {volume_unit}). Finer voxels keep it:"
        f" plan.spacing=[{','.join(f'{edge:g}' for edge in finer)}]"
    )
