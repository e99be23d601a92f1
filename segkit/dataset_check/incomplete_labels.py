"""Check whether labels are incomplete: slices missing inside, a part cut off, or all of it."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.label_orders import NORMAL, robust_spread
from segkit.dataset_check.label_slices import Gaps, LabelSlices
from segkit.dataset_check.problem import MeasuredDataset, Problem, case_or_dataset_warnings
from segkit.errors import first_few

MIN_CASES = 5
"""Smallest number of cases with a label for one of them to be unusual."""
CUT_CASES = 10
"""The same for ends: the spread of the area of six ends is rough in fewer cases."""
SOME = 0.2
"""Share of the other cases with gaps up to which gaps are unusual."""
COMPACT = 2
"""Number of pieces up to which a label is compact."""
MOSTLY = 80.0
"""Percentile over the cases of the number of pieces that must not be larger.

Lesions are often one or two, and two may lie one above the other.
"""
FLAT = 0.5
"""Least area of the last slice, as a share of the largest one, of a label that is cut off."""
DEVIATIONS = 5.0
"""Number of robust standard deviations by which that area must exceed the median."""
LEAST_SPREAD = 0.06
"""Smallest standard deviation of that area that counts."""
SMALLER = math.log(0.8)
"""Logarithm of the share of the median volume up to which a label may be cut off."""
ALIKE = 0.35
"""Largest standard deviation of the logarithm of the volume of a label that is alike in all.

Where volumes differ more, as in fetuses of several ages, a small one says nothing.
"""
MANY_CASES = 20
"""Smallest number of labeled cases for the absence of a label to be a warning."""
ALMOST_ALL = 0.95
"""Share of the labeled cases that must have the label."""
SIDES = ("right", "left", "front", "back", "top", "bottom")
"""Ends of a label along X, -X, Y, -Y, Z, -Z."""


def empty_slices(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case with compact labels that lack slices in their middle."""
    messages: dict[str, list[str]] = defaultdict(list)
    for name in measured.dataset.labels:
        slices = _slices(measured, name)
        pieces = [case.labels[name].pieces for case in measured.cases if case.id in slices]
        with_gaps = [case for case, each in slices.items() if each.gaps]
        # A label of which half of the slices are missing has many pieces itself.
        whole = [
            count for count, each in zip(pieces, slices.values(), strict=True) if not each.gaps
        ]
        few = 0 < len(with_gaps) <= SOME * len(slices)
        if few and np.percentile(whole, MOSTLY) <= COMPACT:
            for case in with_gaps:
                messages[case].append(_gap_text(name, slices[case].gaps))
    texts = {case: "; ".join(parts) for case, parts in messages.items()}
    yield from case_or_dataset_warnings(texts, measured)


def cut_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case with labels that end flat and are smaller than usual."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in measured.dataset.labels:
        slices = _slices(measured, name)
        if len(slices) < CUT_CASES:
            continue
        volumes = {
            case.id: case.labels[name].volume for case in measured.cases if case.id in slices
        }
        smaller = np.log([volumes[case] for case in slices]) - np.log(
            np.median([*volumes.values()])
        )
        if robust_spread(smaller) > ALIKE:
            continue
        flat = _flat_ends(slices)
        for case, ends, size in zip(slices, flat, smaller, strict=True):
            if ends.any() and size <= SMALLER:
                sides = [_side(end, measured) for end in np.flatnonzero(ends).tolist()]
                share = f"{math.exp(size):.0%} of the median volume"
                found[case].append(f"{name} ({', '.join(sides)}; {share})")
    for case, labels in found.items():
        yield Problem(
            case,
            "warning",
            f"a flat end inside the scan, unlike in the other cases: {first_few(labels)}. Is a part"
            " of the label missing?",
        )


def absent_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case that lacks labels that almost all of many cases have."""
    labeled = [case for case in measured.cases if case.labels]
    for case, names in usually_present(measured).items():
        have = sum(names[0] in each.labels for each in labeled)
        text = f"label {names[0]} is absent; {have} of {len(labeled)} cases have it"
        if len(names) > 1:
            text += f". Other labels are absent too: {first_few(names[1:])}"
        yield Problem(case, "warning", text)


def usually_present(measured: MeasuredDataset) -> dict[str, list[str]]:
    """Return case id -> labels that it lacks and almost all of many cases have.

    Cases that are not annotated everywhere are left out: the label may be in the other part.
    """
    lacking: dict[str, list[str]] = defaultdict(list)
    labeled = [case for case in measured.cases if case.labels]
    for name in measured.dataset.labels:
        have = sum(name in case.labels for case in labeled)
        if len(labeled) >= MANY_CASES and have >= ALMOST_ALL * len(labeled):
            for case in labeled:
                if name not in case.labels and not case.ignored:
                    lacking[case.id].append(name)
    return lacking


def _slices(measured: MeasuredDataset, name: str) -> dict[str, LabelSlices]:
    return {
        case.id: measured.details[case.id].slices[name]
        for case in measured.cases
        if case.id in measured.details and name in measured.details[case.id].slices
    }


def _flat_ends(slices: Mapping[str, LabelSlices]) -> NDArray[np.bool_]:
    """Return for each case which of the six ends (cases, 6) are flatter than usual."""
    ends = np.array([each.ends for each in slices.values()])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        middle = np.nanmedian(ends, axis=0)
        spread = NORMAL * np.nanmedian(np.abs(ends - middle), axis=0)
    apart = DEVIATIONS * np.maximum(spread, LEAST_SPREAD)
    flat: NDArray[np.bool_] = (ends >= FLAT) & (ends - middle >= apart)
    return flat


def _side(end: int, measured: MeasuredDataset) -> str:
    return f"{'+-'[end % 2]}{'xyz'[end // 2]}" if measured.unit == "px" else SIDES[end]


def _gap_text(name: str, gaps: Sequence[Gaps]) -> str:
    worst = max(gaps, key=lambda each: each.empty)
    slices = "slice" if worst.empty == 1 else "slices"
    return (
        f"label {name} is empty in {worst.empty} {slices} in its middle, of {worst.extent} from its"
        f" first to its last ({worst.where} in the file, from 0)"
    )
