"""Harmonization of one scan: its group, and the function of each of its channels."""

from __future__ import annotations

from collections.abc import Sequence

from segkit.harmonization.methods import METHODS
from segkit.harmonization.mixture import most_likely
from segkit.harmonization.model import Harmonization
from segkit.harmonization.monotone_map import MonotoneMap
from segkit.harmonization.values import ChannelValues


def group_of(
    model: Harmonization, values: Sequence[ChannelValues], given: str | None
) -> str | None:
    """Return the group of a scan: the one given by a table or DICOM, or that of its intensities."""
    if given is None and model.grouping.mixture is not None:
        return most_likely(model.grouping.mixture, values)
    return given


def is_known_group(model: Harmonization, group: str | None) -> bool:
    """Return whether the group was among the training scans; True if there are no groups."""
    return not model.scans or group in model.scans


def maps_of(
    model: Harmonization, values: Sequence[ChannelValues], group: str | None
) -> list[MonotoneMap]:
    """Return the function of each channel of a scan.

    Args:
        model: the fitted harmonization.
        values: the values of each channel of the scan.
        group: group of the scan; None or an unknown one takes the scan's own quantiles.
    """
    make = METHODS[model.method].mapping
    return [make(channel, own, group) for channel, own in zip(model.channels, values, strict=True)]
