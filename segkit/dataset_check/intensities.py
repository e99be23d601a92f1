"""Checks of voxel values: can a CT be one, and is a CT treated as one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem, warnings_of
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.channel_facts import ChannelFacts
from segkit.plans.ranges import ChannelRange
from segkit.preprocessing.ct_values import (
    NOTHING,
    Reference,
    air_warning,
    ct_warning,
    looks_like_ct,
    other_modality_warning,
)
from segkit.preprocessing.intensity import scheme_of

OTHERS = "the other cases"
MIDDLE = (25, 75)
"""Percentiles over the cases of what is usual in a dataset: a quarter of the cases may be wrong at either end."""
LEAST_CASES = 3
"""With fewer, nobody can tell which case is the odd one."""
APART_HU = 500.0
"""Between the medians of one label in two CT scans; a wrong offset makes about 1024."""
SPREADS = 5
"""Median absolute deviations over the cases that a label's median must be apart, too."""


def unnamed_ct(measured: MeasuredDataset) -> Iterator[Problem]:
    """Channels that look like CT but are normalized by z-score, because their name is not CT."""
    for number, name in enumerate(measured.dataset.channels):
        if scheme_of(name) != "zscore":
            continue
        values = {case.id: case.channels[number] for case in measured.cases}
        alike = [case for case, facts in values.items() if _like_ct(facts)]
        if 2 * len(alike) > len(values):
            channels = ["CT" if each == name else each for each in measured.dataset.channels]
            yield Problem(
                "",
                "warning",
                f"channel {name} looks like CT in {len(alike)} of {len(values)} cases ({_values(values[alike[0]])}),"
                " but its name does not say so: every scan is normalized by its own mean and spread, and Hounsfield"
                f" units are lost. If it is CT, give dataset.channels=[{','.join(channels)}]",
            )
        elif alike:
            yield from warnings_of(_other_modality(name, values, alike), len(values))


def ct_values(measured: MeasuredDataset) -> Iterator[Problem]:
    """Channels named CT whose values cannot be Hounsfield units, or are far from those of the other cases."""
    for number, name in enumerate(measured.dataset.channels):
        if scheme_of(name) == "ct":
            found = _ct_warnings([case.channels[number] for case in measured.cases], measured.cases)
            found |= {
                id_: text
                for id_, text in _odd_labels(measured.cases, number).items()
                if id_ not in found
            }
            named = {case: f"channel {name}: {message}" for case, message in found.items()}
            yield from warnings_of(named, len(measured.cases))


def _other_modality(
    name: str, values: Mapping[str, ChannelFacts], alike: Sequence[str]
) -> dict[str, str]:
    """The cases that look like CT, against those that do not."""
    others = [facts for case, facts in values.items() if case not in alike]
    lowest, highest = [each.lowest for each in others], [each.highest for each in others]
    scans = ChannelRange((min(lowest), max(lowest)), (min(highest), max(highest)))
    found = {}
    for case in alike:
        facts, reference = values[case], Reference(OTHERS, scans=scans)
        warning = other_modality_warning(facts.lowest, facts.highest, reference, whole=facts.whole)
        if warning:
            found[case] = f"channel {name}: {warning}"
    return found


def _ct_warnings(channels: Sequence[ChannelFacts], cases: Sequence[CaseFacts]) -> dict[str, str]:
    """By the id of a case. What can be no CT is said first, then what differs from the others."""
    found = {}
    for case, facts, others in zip(cases, channels, _references(channels), strict=True):
        absolute = ct_warning(facts.lowest, facts.highest)
        relative = ct_warning(facts.lowest, facts.highest, others)
        warning = relative or absolute or air_warning(facts.lowest, facts.highest, others)
        if warning:
            found[case.id] = warning
    return found


def _odd_labels(cases: Sequence[CaseFacts], channel: int) -> dict[str, str]:
    """Cases all of whose labels have medians far from those of the same labels in the other cases."""
    usual = {}
    for name in dict.fromkeys(name for case in cases for name in case.labels):
        medians = [case.labels[name].medians[channel] for case in cases if _drawn(case, name)]
        if len(medians) >= LEAST_CASES:
            middle = float(np.median(medians))
            usual[name] = (middle, float(np.median(np.abs(np.array(medians) - middle))))
    found = {}
    for case in cases:
        names = [name for name in case.labels if name in usual and _drawn(case, name)]
        apart = {name: abs(case.labels[name].medians[channel] - usual[name][0]) for name in names}
        if names and all(apart[name] > max(APART_HU, SPREADS * usual[name][1]) for name in names):
            median = case.labels[names[0]].medians[channel]
            found[case.id] = (
                f"the median of label {names[0]} is {median:.6g} HU; in the other cases it is about"
                f" {usual[names[0]][0]:.6g} HU. Is an offset, such as -1024, wrong?"
            )
    return found


def _drawn(case: CaseFacts, name: str) -> bool:
    return name in case.labels and bool(case.labels[name].medians)


def _references(channels: Sequence[ChannelFacts]) -> Iterator[Reference]:
    """What is usual in the other cases, for each case."""
    ends = np.array([(each.lowest, each.highest) for each in channels])
    for case in range(len(channels)):
        if len(channels) < LEAST_CASES:
            yield NOTHING
            continue
        (low, low_highest), (high_lowest, high) = _middle(np.delete(ends, case, axis=0))
        lowest, highest = (float(low), float(high_lowest)), (float(low_highest), float(high))
        yield Reference(OTHERS, scans=ChannelRange(lowest, highest))


def _middle(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the percentiles MIDDLE (2, 2) of the lowest and highest values (N, 2), each the value of some case.

    Interpolation would give an end between a CT and another modality, which no case has.
    """
    middle: NDArray[np.float64] = np.percentile(ends, MIDDLE, axis=0, method="inverted_cdf")
    return middle


def _like_ct(facts: ChannelFacts) -> bool:
    return looks_like_ct(facts.lowest, facts.highest, whole=facts.whole)


def _values(facts: ChannelFacts) -> str:
    return f"{facts.lowest:.6g} to {facts.highest:.6g}"
