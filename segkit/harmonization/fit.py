"""Fit a harmonization to the values of training scans."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from segkit.errors import InputError, first_few
from segkit.harmonization.methods import METHODS
from segkit.harmonization.mixture import discover, most_likely
from segkit.harmonization.model import FEW_SCANS, Grouping, Harmonization, Mixture
from segkit.harmonization.values import ChannelValues

log = logging.getLogger(__name__)


def fit(
    method: str,
    channels: Sequence[str],
    scans: Sequence[Sequence[ChannelValues]],
    groups: Sequence[str] | None = None,
    *,
    source: str = "table",
    tags: Sequence[str] = (),
) -> Harmonization:
    """Return the harmonization that a method fits to training scans.

    Groups with few scans are named in the log.

    Args:
        method: name in METHODS.
        channels: names of the channels.
        scans: values of each channel of each scan.
        groups: group of each scan; None without groups.
        source: where the groups come from, as in `Grouping`; "intensities" discovers them here.
        tags: DICOM attributes that name the group, for the source "dicom".

    Raises:
        InputError: there is no scan.
    """
    if not scans:
        raise InputError(
            "harmonize fit", expected="training scans", found="none", remedy="Add cases."
        )
    mixture = discover(scans) if source == "intensities" else None
    if mixture is not None:
        groups, scans = _discovered(mixture, scans)
    members = groups or [""] * len(scans)
    fitted = tuple(
        METHODS[method].fit(name, [values[index] for values in scans], members)
        for index, name in enumerate(channels)
    )
    counts = dict(sorted(Counter(groups or ()).items()))
    _warn_of_few(counts)
    grouping = Grouping(source if groups else "none", tuple(tags), mixture)
    return Harmonization(method, fitted, counts, grouping)


def _discovered(
    mixture: Mixture, scans: Sequence[Sequence[ChannelValues]]
) -> tuple[list[str], list[Sequence[ChannelValues]]]:
    """Return the group of each scan that lies in one, and these scans; the log counts the rest."""
    groups = [most_likely(mixture, values) for values in scans]
    outside = groups.count(None)
    if outside:
        log.warning(
            "%d of %d training scans lie outside of all groups and are left out",
            outside,
            len(scans),
        )
    kept = [(group, values) for group, values in zip(groups, scans, strict=True) if group]
    return [group for group, _ in kept], [values for _, values in kept]


def _warn_of_few(counts: dict[str, int]) -> None:
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_SCANS]
    if few:
        log.warning(
            "groups with fewer than %d training scans: %s; their curves are uncertain",
            FEW_SCANS,
            first_few(few),
        )
