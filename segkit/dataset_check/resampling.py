"""Does a label survive that scans are brought to one voxel spacing?"""

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
from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.fingerprint.case_facts import CaseFacts, read_indices
from segkit.fingerprint.label_facts import LabelFacts
from segkit.fingerprint.usual_spacing import Spacing, choose_slice_axis, usual_spacing
from segkit.io import open_source
from segkit.labels.scheme import membership
from segkit.preprocessing.orient import to_ras
from segkit.preprocessing.resample import grid_shape, resample_labels
from segkit.volume import Unit

COARSER = 1.1
"""Times a case's own edge from which on the plan's edge may lose voxels."""
AT_RISK = 3.0
"""A label is looked at whose runs along that axis are in the mean shorter than this many of the plan's edges."""
LOOKED_AT = 20
"""Cases whose label maps are read again, those with the thinnest labels first: many labels take seconds a case."""
KEPT = 0.5
"""A label that keeps less of its volume than this is named."""
ABSURD = 100
"""Times as many voxels as a case has: its header is wrong, which other checks name."""


@dataclass(frozen=True)
class _Loss:
    """A label's volume in one case, before and after, in mm^3 or px."""

    case: CaseFacts
    before: float
    after: float


def planned_spacing(measured: MeasuredDataset) -> Spacing | None:
    """Return the spacing that would be planned for 3D scans, or single slices; None without any case."""
    if not measured.cases:
        return None
    return usual_spacing(measured.cases, choose_slice_axis(measured.cases, None))[0]


def lost_labels(measured: MeasuredDataset, spacing: Spacing) -> Iterator[Problem]:
    """Labels that resampling to ``spacing`` erases, or leaves less than half of, with the figures of one case.

    Only the label maps in which a label is thin against ``spacing`` are read again.
    """
    cases = {case.id: case for case in measured.dataset.cases}
    losses: dict[str, list[_Loss]] = defaultdict(list)
    risks = [(_risk(facts, spacing), facts) for facts in measured.cases]
    at_risk = [facts for risk, facts in sorted(risks, key=itemgetter(0)) if risk < AT_RISK]
    for facts in at_risk[:LOOKED_AT]:
        names = [
            name
            for name, label in facts.labels.items()
            if _label_risk(label, facts, spacing) < AT_RISK
        ]
        for name, after in _volumes_after(
            cases[facts.id], facts, measured.dataset, spacing, names=names
        ).items():
            if after < KEPT * facts.labels[name].volume:
                losses[name].append(_Loss(facts, facts.labels[name].volume, after))
    looked_at = f"{len(measured.cases)} cases"
    if len(at_risk) > LOOKED_AT:
        looked_at = f"the {LOOKED_AT} cases with the thinnest labels"
    for name, found in losses.items():
        yield Problem("", "warning", _message(name, found, spacing, measured.unit, looked_at))


def _risk(facts: CaseFacts, spacing: Spacing) -> float:
    """The smallest `_label_risk` in a case; infinite without a label."""
    return min(
        (_label_risk(label, facts, spacing) for label in facts.labels.values()), default=math.inf
    )


def _label_risk(label: LabelFacts, facts: CaseFacts, spacing: Spacing) -> float:
    """Thickness of a label in edges of ``spacing``, along the worst axis that is made coarser; infinite without one."""
    axes = zip(spacing, facts.spacing, label.thickness, strict=True)
    return min(
        (
            thickness / edge
            for edge, own, thickness in axes
            if edge is not None and edge > COARSER * own
        ),
        default=math.inf,
    )


def _volumes_after(
    case: Case, facts: CaseFacts, dataset: Dataset, spacing: Spacing, *, names: Sequence[str]
) -> dict[str, float]:
    """Volumes of the labels ``names`` once the label map is resampled."""
    shape = grid_shape(facts.shape, facts.spacing, spacing)
    if not names or math.prod(shape) > ABSURD * math.prod(facts.shape):
        return {}
    indices = resample_labels(_indices(case, dataset), shape)
    held = np.array(membership(dataset.labels, dataset.regions))
    counts = held @ np.bincount(indices.ravel(), minlength=held.shape[1])[: held.shape[1]]
    volume = math.prod(size / number for size, number in zip(facts.size, shape, strict=True))
    return {name: float(counts[list(dataset.labels).index(name)] * volume) for name in names}


def _indices(case: Case, dataset: Dataset) -> NDArray[Any]:
    indices = read_indices(case, dataset, open_source(case.images[0]).grid)
    turned = to_ras(indices)[0].array[0]
    return np.where(turned > len(dataset.targets), 0, turned)


def _message(
    name: str, losses: Sequence[_Loss], spacing: Spacing, unit: Unit, looked_at: str
) -> str:
    erased = [loss for loss in losses if not loss.after]
    worst = min(losses, key=lambda loss: loss.after / loss.before)
    scale, words = (1000, "ml") if unit == "mm" else (1, "px")
    edges = [min(loss.case.spacing[axis] for loss in losses) for axis in range(3)]
    finer = [round(min(edge, edges[axis]), 5) if edge else 1 for axis, edge in enumerate(spacing)]
    return (
        f"label {name}: resampling to voxels of {_times(spacing)} {unit}, which fit most cases, erases it in"
        f" {len(erased)} and more than halves it in {len(losses) - len(erased)} of {looked_at} (such as"
        f" {worst.case.id}: {worst.before / scale:.3g} {words} become {worst.after / scale:.3g} {words}). Finer voxels"
        f" keep it: plan.spacing=[{','.join(f'{edge:g}' for edge in finer)}]"
    )


def _times(spacing: Spacing) -> str:
    return " x ".join("as they are" if edge is None else f"{edge:.3g}" for edge in spacing)
