"""Find hidden groups of scans by their intensities, as other scanners or units leave them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy

from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.errors import first_few
from segkit.harmonization.methods import standardized
from segkit.harmonization.mixture import SCANS_PER_GROUP, discover, most_likely
from segkit.harmonization.model import Mixture
from segkit.harmonization.values import ChannelValues
from segkit.preprocessing.intensity import scheme_of

APART = 2.0
"""Ratio of medians or spreads from which two groups are more than the usual spread of patients."""
MIN_CASES = 5
"""Smallest number of scans of a group; fewer are outliers."""
OUTSIDE = "no group"
"""Name for scans that lie outside of all groups."""

Values = Mapping[str, Sequence[ChannelValues]]
"""Case id -> intensities of its channels."""


def is_calibrated(channel: str) -> bool:
    """Return whether the values of a channel mean the same in every scan, as in CT."""
    return scheme_of(channel) == "ct"


def intensity_groups(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning if there are several groups of intensities that the dataset does not name."""
    groups = groups_of_scans(measured)
    if not groups or _are_named(groups, measured):
        return
    counts = Counter(group for group in groups.values() if group != OUTSIDE)
    values = _values(measured)
    parts = []
    for name in sorted(counts):
        members = [case for case, group in groups.items() if group == name]
        medians = np.mean([[standardized(v)[0] for v in values[case]] for case in members], axis=0)
        about = ", ".join(number_text(median) for median in medians)
        parts.append(f"{counts[name]} cases with a median of about {about} ({first_few(members)})")
    others = [case for case, group in groups.items() if group == OUTSIDE]
    rest = f"; in none of them: {first_few(others)}" if others else ""
    yield dataset_warning(
        f"there are {len(counts)} groups of intensities, as of different scanners, protocols or"
        f" units: {'; '.join(parts)}{rest}"
    )


def groups_of_scans(measured: MeasuredDataset) -> dict[str, str]:
    """Return the group of intensities of each case; {} if there are fewer than two groups.

    Groups come from the mixture of `segkit harmonize discover`, joined where neither median nor
    spread of any channel differs by the factor APART. Channels with calibrated values do not count.
    """
    values = _values(measured)
    if len(values) < 2 * SCANS_PER_GROUP:
        return {}
    mixture = discover(list(values.values()))
    joined = _joined(mixture)
    groups = {
        case: joined.get(most_likely(mixture, own) or "", OUTSIDE) for case, own in values.items()
    }
    counts = Counter(group for group in groups.values() if group != OUTSIDE)
    large = [group for group, count in counts.items() if count >= MIN_CASES]
    if len(large) < 2:
        return {}
    return {case: group if group in large else OUTSIDE for case, group in groups.items()}


def number_text(value: float) -> str:
    """Return a measurement with four significant digits, and without an exponent.

    >>> number_text(229612.3), number_text(0.98765), number_text(-1000.0)
    ('229,600', '0.9877', '-1,000')
    """
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:.4g}"


def _values(measured: MeasuredDataset) -> dict[str, tuple[ChannelValues, ...]]:
    """Return the intensities of the channels without calibrated values; constant scans are out."""
    chosen = [
        number
        for number, channel in enumerate(measured.dataset.channels)
        if not is_calibrated(channel)
    ]
    return {
        case.id: tuple(measured.details[case.id].values[number] for number in chosen)
        for case in measured.cases
        if chosen and case.id in measured.details and not case.constant
    }


def _joined(mixture: Mixture) -> dict[str, str]:
    """Return a new name for each group of a mixture; close ones get the same name."""
    means = np.array(mixture.means)
    near = np.abs(means[:, None] - means[None]).max(axis=-1) < math.log(APART)
    number = scipy.sparse.csgraph.connected_components(near, directed=False)[1]
    # Groups are ordered by location, so the numbers follow the order of first appearance.
    order = {int(each): place + 1 for place, each in enumerate(dict.fromkeys(number.tolist()))}
    return {
        name: f"group_{order[int(each)]}" for name, each in zip(mixture.names, number, strict=True)
    }


def _are_named(groups: Mapping[str, str], measured: MeasuredDataset) -> bool:
    """Return whether the column of groups of the dataset tells the found groups apart."""
    given = {case.id: case.group for case in measured.dataset.cases}
    if not all(given[case] for case in groups):
        return False
    found: dict[str, set[str]] = defaultdict(set)
    for case, group in groups.items():
        if group != OUTSIDE:
            found[given[case]].add(group)
    return all(len(names) == 1 for names in found.values())
