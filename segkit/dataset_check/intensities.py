"""Check voxel values: whether channels named CT can be CT, and whether others look like CT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.problem import (
    MeasuredDataset,
    Problem,
    case_or_dataset_warnings,
    dataset_warning,
)
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.channel_facts import ChannelFacts
from segkit.harmonization.values import ChannelValues
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
USUAL_PERCENTILES = (25, 75)
"""Percentiles over the cases that bound the usual values: a quarter may be wrong at either end."""
MIN_CASES = 3
"""Smallest number of cases in which a single one can be called unusual."""
APART_HU = 500.0
"""Difference in HU from the usual median of a label above which a scan is unusual.

A wrong offset changes the median by about 1024.
"""
APART_DEVIATIONS = 5
"""Number of median absolute deviations that the difference must also exceed."""
SATURATED = 0.01
"""Least share of voxels with the highest value of a saturated image."""
NOT_SATURATED = 0.005
"""Largest usual share of a dataset whose images are not saturated; pictures often are."""
USUALLY = 80.0
"""Percentile of that share over the cases that is the usual one."""
MASK_VALUES = 2
"""Largest number of values of a mask."""
MIN_CASES_SATURATED = 5
"""Smallest number of cases for one of them to be saturated unlike the others."""


def unnamed_ct(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield warnings for channels that look like CT but are z-scored because of their name."""
    channels = measured.dataset.channels
    for number, name in enumerate(channels):
        if scheme_of(name) != "zscore":
            continue
        facts = {case.id: case.channels[number] for case in measured.cases}
        like_ct = [case for case in facts if _like_ct(facts[case])]
        if 2 * len(like_ct) > len(facts):
            renamed = ["CT" if channel == name else channel for channel in channels]
            example = facts[like_ct[0]]
            yield dataset_warning(
                f"channel {name} looks like CT in {len(like_ct)} of {measured.cases_text}"
                f" ({example.lowest:.6g} to {example.highest:.6g}), but its name does not say so:"
                " every scan is normalized by its own mean and spread, and Hounsfield units are"
                f" lost. If it is CT, give dataset.channels=[{','.join(renamed)}]"
            )
        elif like_ct:
            yield from case_or_dataset_warnings(_other_modality(name, facts, like_ct), measured)


def ct_values(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield warnings for CT channels whose values are not HU or are unlike those of other cases."""
    for number, name in enumerate(measured.dataset.channels):
        if scheme_of(name) == "ct":
            ranges = _odd_ranges(measured.cases, number)
            labels = _odd_labels(measured.cases, number)
            messages = {**ranges, **{case: labels[case] for case in labels if case not in ranges}}
            named = {case: f"channel {name}: {message}" for case, message in messages.items()}
            yield from case_or_dataset_warnings(named, measured)


def saturated_images(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each image with many voxels of its highest value, unlike the others.

    The others are compared by their 80th percentile, so that a few saturated ones do not hide each
    other. Channels with calibrated values have limits of their own.
    """
    messages: dict[str, str] = {}
    for number, name in enumerate(measured.dataset.channels):
        shares = {
            case.id: _share_of_highest(measured.details[case.id].values[number], case, number)
            for case in measured.cases
            if case.id in measured.details and name not in case.constant
        }
        cause = (
            "is it overexposed?"
            if measured.unit == "px"
            else "was it saved with a window or in 8 bits?"
        )
        if scheme_of(name) == "ct" or len(shares) < MIN_CASES_SATURATED:
            continue
        if np.percentile([*shares.values()], USUALLY) > NOT_SATURATED:
            continue
        for case, share in shares.items():
            if share >= SATURATED:
                messages[case] = (
                    f"{share:.0%} of the voxels of {name} have its highest value, where hardly any"
                    f" have it in most cases: {cause}"
                )
    yield from case_or_dataset_warnings(messages, measured)


def _share_of_highest(values: ChannelValues, case: CaseFacts, channel: int) -> float:
    """Return the share of the voxels of the content that have the highest value of the channel.

    It is 0 for a mask in place of an image, such as the lesions of an earlier examination.
    """
    if len(np.unique(values.quantiles)) <= MASK_VALUES:
        return 0.0
    return float(np.mean(values.quantiles >= case.channels[channel].highest))


def _other_modality(
    name: str, facts: Mapping[str, ChannelFacts], like_ct: Sequence[str]
) -> dict[str, str]:
    """Return case id -> message for cases that look like CT among others that do not."""
    others = [channel for case, channel in facts.items() if case not in like_ct]
    lowest = [channel.lowest for channel in others]
    highest = [channel.highest for channel in others]
    scans = ChannelRange((min(lowest), max(lowest)), (min(highest), max(highest)))
    reference = Reference(OTHERS, scans=scans)
    messages = {}
    for case in like_ct:
        channel = facts[case]
        warning = other_modality_warning(
            channel.lowest,
            channel.highest,
            reference,
            whole=channel.whole,
            noise=channel.noise,
        )
        if warning:
            messages[case] = f"channel {name}: {warning}"
    return messages


def _odd_ranges(cases: Sequence[CaseFacts], channel: int) -> dict[str, str]:
    """Return case id -> message for values that are not CT or differ from those of other cases."""
    messages = {}
    facts = [case.channels[channel] for case in cases]
    for case, values, others in zip(cases, facts, _references(facts), strict=True):
        absolute = ct_warning(values.lowest, values.highest)
        relative = ct_warning(values.lowest, values.highest, others)
        warning = relative or absolute or air_warning(values.lowest, values.highest, others)
        if warning:
            messages[case.id] = warning
    return messages


def _odd_labels(cases: Sequence[CaseFacts], channel: int) -> dict[str, str]:
    """Return case id -> message for cases whose labels all have medians far from the usual ones."""
    usual = _usual_medians(cases, channel)
    messages = {}
    for case in cases:
        medians = {
            name: label.medians[channel]
            for name, label in case.labels.items()
            if name in usual and label.medians
        }
        apart = [
            abs(median - usual[name][0]) > max(APART_HU, APART_DEVIATIONS * usual[name][1])
            for name, median in medians.items()
        ]
        if apart and all(apart):
            name, median = next(iter(medians.items()))
            messages[case.id] = (
                f"the median of label {name} is {median:.6g} HU; in the other cases it is about"
                f" {usual[name][0]:.6g} HU. Is an offset, such as -1024, wrong?"
            )
    return messages


def _usual_medians(cases: Sequence[CaseFacts], channel: int) -> dict[str, tuple[float, float]]:
    """Return for each label the median over the cases, and the median absolute deviation, in HU."""
    usual = {}
    for name in dict.fromkeys(name for case in cases for name in case.labels):
        medians = [
            case.labels[name].medians[channel]
            for case in cases
            if name in case.labels and case.labels[name].medians
        ]
        if len(medians) >= MIN_CASES:
            middle = float(np.median(medians))
            usual[name] = (middle, float(np.median(np.abs(np.array(medians) - middle))))
    return usual


def _references(channels: Sequence[ChannelFacts]) -> Iterator[Reference]:
    """Yield for each case the usual range of values in the other cases."""
    ends = np.array([(channel.lowest, channel.highest) for channel in channels])
    for case in range(len(channels)):
        if len(channels) < MIN_CASES:
            yield NOTHING
            continue
        (low, low_highest), (high_lowest, high) = _usual_ends(np.delete(ends, case, axis=0))
        lowest, highest = (float(low), float(high_lowest)), (float(low_highest), float(high))
        yield Reference(OTHERS, scans=ChannelRange(lowest, highest))


def _usual_ends(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return USUAL_PERCENTILES (2, 2) of the lowest and highest values (N, 2) of N cases.

    Each is the value of a case: interpolation could give a value between those of a CT and of
    another modality, which no case has.
    """
    usual: NDArray[np.float64] = np.percentile(
        ends, USUAL_PERCENTILES, axis=0, method="inverted_cdf"
    )
    return usual


def _like_ct(facts: ChannelFacts) -> bool:
    return looks_like_ct(facts.lowest, facts.highest, whole=facts.whole, noise=facts.noise)
