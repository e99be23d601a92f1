"""Check the label maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segkit.dataset_check.problem import (
    MeasuredDataset,
    Problem,
    case_or_dataset_warnings,
    dataset_warning,
)
from segkit.dataset_check.stray_components import MOST, Stray
from segkit.errors import first_few
from segkit.fingerprint.case_facts import CaseFacts
from segkit.preprocessing.labels import FULL, MANY_VALUES

THIN = 2.0
"""Mean run length of a label in voxels below which it is only the edge of another label."""
THIN_LABELS = 2 / 3
"""Fraction of labels that must be thin for the values to be shades of gray."""
WHITE = 255
"""Largest value of an 8-bit picture."""
MAX_THIN_LABELS = 64
"""Largest number of labels of anatomical label maps of thin structures, such as vessels."""
BORDER_LABELED = 0.8
"""Labeled fraction of an image's border from which the mask may be inverted."""
BORDER_FREE = 0.2
"""Largest median of that fraction in a dataset whose borders are usually background."""
COMPACT = 2
"""Median number of pieces up to which a label is compact: two for a pair of structures."""
NAMED = 12
"""Largest number of labels that a message names."""
MIN_CASES = 3
"""Smallest number of cases in which a single one can be called unusual."""


def missing_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each label, and for the ignore value, if it occurs in no case."""
    dataset, cases = measured.dataset, measured.cases
    if not any(case.labels for case in cases):
        return
    missing = [
        f"label {name}" for name in dataset.labels if not any(name in case.labels for case in cases)
    ]
    if dataset.ignore is not None and not any(case.ignored for case in cases):
        missing.append(f"the ignore value {dataset.ignore}")
    for name in missing:
        yield dataset_warning(f"{name} occurs in no case that could be read")


def rare_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for labels in a single case, which cannot both train and validate."""
    annotated = [case for case in measured.cases if case.labels]
    cases_of_label = {
        name: [case.id for case in annotated if name in case.labels]
        for name in measured.dataset.labels
    }
    rare = [name for name, cases in cases_of_label.items() if len(cases) == 1]
    if rare and len(annotated) >= MIN_CASES:
        case = cases_of_label[rare[0]][0]
        more = f", and {len(rare) - 1} more labels in one case each" if len(rare) > 1 else ""
        yield dataset_warning(
            f"label {rare[0]} occurs in 1 of {len(annotated)} cases ({case}){more}: a fold that"
            " validates on it cannot learn it. Add cases that have it, leave the label out, or"
            " train with fold=all"
        )


def blurred_edges(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for masks with smoothed edges or lossy compression.

    Such masks have many label values, most of which are thin seams along other labels.
    """
    voxels: dict[str, float] = defaultdict(float)
    runs: dict[str, float] = defaultdict(float)
    for case in measured.cases:
        for name, label in case.labels.items():
            voxels[name] += label.voxels
            runs[name] += label.voxels / _thickness(case, name)
    thin = [name for name in voxels if voxels[name] < THIN * runs[name]]
    could_be_shades = _could_be_shades([measured.dataset.labels[name] for name in voxels])
    if not could_be_shades or len(thin) < THIN_LABELS * len(voxels):
        return
    yield dataset_warning(
        f"the label maps contain {len(voxels)} values, {len(thin)} of which are only seams of 1 or"
        " 2 voxels along others, as smoothed (anti-aliased) edges or JPEG compression leave them."
        " Save the masks again without lossy compression and smoothing, values below the middle as"
        " 0 and the others as 1"
    )


def _could_be_shades(values: Sequence[int]) -> bool:
    """Return whether label values may be gray levels of an 8-bit picture.

    Gray levels spread over the whole range, while anatomical labels are numbered from 1 without
    large gaps.
    """
    if len(values) < MANY_VALUES or max(values) > WHITE:
        return False
    return len(values) > MAX_THIN_LABELS or max(values) > 2 * len(values)


def _thickness(case: CaseFacts, name: str) -> float:
    """Return the mean run length of a label along its thinnest axis in voxels, at least 1."""
    thickness = case.labels[name].thickness
    axes = [axis for axis in range(3) if case.shape[axis] > 1] or [0]
    return max(1.0, min(thickness[axis] / case.spacing[axis] for axis in axes))


def two_encodings(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning if some masks have the values 0 and 255 and others 0 and 1."""
    dataset = measured.dataset
    if dataset.regions or len(dataset.labels) != 2:
        return
    (low, small), (high, large) = sorted(dataset.labels.items(), key=lambda item: item[1])
    if small != 1 or large < FULL:
        return
    with_low = [case.id for case in measured.cases if low in case.labels]
    with_high = [case.id for case in measured.cases if high in case.labels]
    if with_low and with_high and not set(with_low) & set(with_high):
        yield dataset_warning(
            f"{len(with_low)} label maps (such as {with_low[0]}) have only the value {small} and"
            f" {len(with_high)} (such as {with_high[0]}) only {large}: is it one structure, saved"
            " in two ways? It would be learned as two labels. Save all masks with the same value"
        )


def inverted_masks(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case whose border is labeled, unlike that of the other cases."""
    labeled = [case for case in measured.cases if case.labels]
    if len(labeled) < MIN_CASES or np.median([case.border for case in labeled]) > BORDER_FREE:
        return
    for case in labeled:
        if case.border >= BORDER_LABELED:
            yield Problem(
                case.id,
                "warning",
                f"{case.border:.0%} of the image's border is labeled, where it is background in"
                " the other cases: are foreground and background swapped? Invert this label map",
            )


def stray_components(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case and label with a few voxels far from the rest of the label.

    Labels that consist of more than COMPACT pieces in half of the cases are left out: vessels,
    lesions and thin sheets are scattered by nature.
    """
    pieces: dict[str, list[int]] = defaultdict(list)
    for facts in measured.cases:
        for name, label in facts.labels.items():
            pieces[name].append(label.pieces)
    for case, details in measured.details.items():
        for name in dict.fromkeys(stray.label for stray in details.strays):
            if np.median(pieces.get(name, [1])) <= COMPACT:
                own = [stray for stray in details.strays if stray.label == name]
                yield Problem(case, "warning", _stray_text(name, own))


def _stray_text(name: str, strays: Sequence[Stray]) -> str:
    voxels = sum(stray.voxels for stray in strays)
    places = [
        f"{stray.position} {f'in {stray.around}' if stray.around else 'in the background'}"
        for stray in sorted(strays, key=lambda stray: -stray.voxels)
    ]
    least = "at least " if len(strays) == MOST else ""
    count = f"{least}{voxels} voxel{'s' if voxels > 1 else ''}"
    where = f"at voxel {first_few(places)} (x, y, z in the file, from 0)"
    return f"{count} of label {name} far from the rest of it, {where}"


def labels_at_edge(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each case with labels that touch a face of the scan and may be cut off.

    Labels that do so in most cases are in one note for the dataset instead.
    """
    usual, of_case = [], defaultdict(list)
    for name in measured.dataset.labels:
        cases = [case.id for case in measured.cases if name in case.labels]
        touching = [
            case
            for case in cases
            if case in measured.details and name in measured.details[case].faces
        ]
        if len(touching) > 1 and 2 * len(touching) > len(cases):
            usual.append(f"{name} (in {len(touching)} of {len(cases)} cases)")
            continue
        for case in touching:
            of_case[case].append(name)
    if usual:
        message = f"{_labels(len(usual))} the edge of most scans: {first_few(usual, NAMED)}"
        yield Problem("", "note", message)
    for case, names in of_case.items():
        message = f"{_labels(len(names))} the edge of the scan: {first_few(names, NAMED)}"
        yield Problem(case, "note", f"{message}. Cut off there?")


def _labels(count: int) -> str:
    return f"{count} labels touch" if count > 1 else "1 label touches"


def other_headers(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each label map that segkit places exactly, but other programs may not."""
    messages = {case: each.header for case, each in measured.details.items() if each.header}
    named = {case.id for case in measured.dataset.cases if str(case.label).endswith(".seg.nrrd")}
    correctable = messages.keys() - named  # a new header could lose the names of segments
    for problem in case_or_dataset_warnings(messages, measured):
        can = problem.case in correctable if problem.case else bool(correctable)
        yield Problem(problem.case, "note", problem.message, correctable=can)
