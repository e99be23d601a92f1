"""Checks of label maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.fingerprint.case_facts import CaseFacts
from segkit.preprocessing.labels import FULL, MANY_VALUES

THIN = 2.0
"""Voxels; the mean length of the runs of a label that is only an edge of another is below this."""
THIN_LABELS = 2 / 3
"""Share of the labels that must be thin for all of them to be shades."""
WHITE = 255
MOST_THIN_LABELS = 64
"""There are anatomical label maps of thin structures, such as vessels, but none with so many."""
BORDER_LABELLED, BORDER_FREE = 0.8, 0.2
"""Shares of an image's border: one that is labelled as far as this, where it is free in other cases, is inverted."""
LEAST_CASES = 3
RESAVE = "Save the masks again without lossy compression and smoothing, values below the middle as 0 and the others as 1"


def missing_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Labels, and an ignore value, that occur in no case."""
    dataset, facts = measured.dataset, measured.cases
    if not any(case.labels for case in facts):
        return
    missing = [
        f"label {name}" for name in dataset.labels if not any(name in case.labels for case in facts)
    ]
    if dataset.ignore is not None and not any(case.ignored for case in facts):
        missing.append(f"the ignore value {dataset.ignore}")
    for name in missing:
        yield Problem("", "warning", f"{name} occurs in no case that could be read")


def rare_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Labels in a single case, which can either train or validate."""
    annotated = [case for case in measured.cases if case.labels]
    having = {
        name: [case.id for case in annotated if name in case.labels]
        for name in measured.dataset.labels
    }
    rare = [name for name, cases in having.items() if len(cases) == 1]
    if rare and len(annotated) >= LEAST_CASES:
        more = f", and {len(rare) - 1} more labels in one case each" if len(rare) > 1 else ""
        yield Problem(
            "",
            "warning",
            f"label {rare[0]} occurs in 1 of {len(annotated)} cases ({having[rare[0]][0]}){more}: a fold that validates"
            " on it cannot learn it. Add cases that have it, leave the label out, or train with fold=all",
        )


def blurred_edges(measured: MeasuredDataset) -> Iterator[Problem]:
    """Many label values of which most are thin seams: masks with smoothed edges or after lossy compression."""
    voxels: dict[str, float] = defaultdict(float)
    runs: dict[str, float] = defaultdict(float)
    for case in measured.cases:
        for name, label in case.labels.items():
            voxels[name] += label.voxels
            runs[name] += label.voxels / _thinnest(case, name)
    thin = [name for name in voxels if voxels[name] < THIN * runs[name]]
    greys = _could_be_greys([measured.dataset.labels[name] for name in voxels])
    if not greys or len(thin) < THIN_LABELS * len(voxels):
        return
    yield Problem(
        "",
        "warning",
        f"the label maps hold {len(voxels)} values, {len(thin)} of which are only seams of 1 or 2 voxels along others,"
        f" as smoothed (anti-aliased) edges or JPEG compression leave them. {RESAVE}",
    )


def _could_be_greys(values: Sequence[int]) -> bool:
    """Whether label values may be shades of an 8-bit picture: they reach far, while anatomical labels are numbered."""
    many = len(values) >= MANY_VALUES and max(values) <= WHITE
    return many and (len(values) > MOST_THIN_LABELS or max(values) > 2 * len(values))


def two_encodings(measured: MeasuredDataset) -> Iterator[Problem]:
    """Masks of 0 and 255 beside masks of 0 and 1: one structure under two values."""
    dataset = measured.dataset
    if dataset.regions or len(dataset.labels) != 2:
        return
    (low, small), (high, large) = sorted(dataset.labels.items(), key=lambda item: item[1])
    with_low = [case.id for case in measured.cases if low in case.labels]
    with_high = [case.id for case in measured.cases if high in case.labels]
    if (
        small == 1
        and large >= FULL
        and with_low
        and with_high
        and not set(with_low) & set(with_high)
    ):
        yield Problem(
            "",
            "warning",
            f"{len(with_low)} label maps (such as {with_low[0]}) have only the value {small} and {len(with_high)}"
            f" (such as {with_high[0]}) only {large}: is it one structure, saved in two ways? It would be learned"
            " as two labels. Save all masks with the same value",
        )


def inverted_masks(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose border is labelled where it is background in the others."""
    labelled = [case for case in measured.cases if case.labels]
    if len(labelled) < LEAST_CASES or np.median([case.border for case in labelled]) > BORDER_FREE:
        return
    for case in labelled:
        if case.border >= BORDER_LABELLED:
            yield Problem(
                case.id,
                "warning",
                f"{case.border:.0%} of the image's border are labelled, where it is background in the other cases: are"
                " foreground and background exchanged? Invert this label map",
            )


def _thinnest(case: CaseFacts, name: str) -> float:
    """Mean length in voxels of a label's runs along the axis where they are shortest; at least 1."""
    thickness = case.labels[name].thickness
    axes = [axis for axis in range(3) if case.shape[axis] > 1] or [0]
    return max(1.0, min(thickness[axis] / case.spacing[axis] for axis in axes))
