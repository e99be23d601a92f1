"""Check whether the values of a channel can be Hounsfield units.

CT is the only modality in which a value means the same in every scan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.plans.ranges import ChannelRange, Range

EIGHT_BITS = 255
"""Largest value of an 8-bit picture."""
NARROW = 10
"""Factor by which the range of labeled voxels may exceed that of a scan, which shows air too."""
LEAST_RANGE = 100.0
"""Smallest range of values of a CT in HU; values with a smaller range have been scaled."""
BELOW_WATER = -100.0
"""HU below which a CT shows fat or air."""
NEAR_AIR = (-1200.0, -800.0)
"""Range of HU around air, which has -1000."""
SHOWS_AIR = -500.0
"""Largest minimum in HU of a CT that shows air, allowing for interpolation and noise."""
NO_AIR = -200.0
"""Smallest minimum in HU of a CT without air: fat, the next lowest, has about -100."""
BELOW_MR = -500.0
"""Value below which modalities other than CT rarely have values."""
THINNER = 0.9
"""Ratio of the voxels near air to those between air and BELOW_MR, below which there is no air."""
LEAST_HU = -5000.0
"""Smallest value of a CT: outside the field of view scanners write -1024, -2000, -3024 or -4095."""
MR_PHASE = 4000.0
"""Absolute value that both ends of an MR phase image exceed, which goes from -4096 to 4095."""
OFFSET = "Is an offset, such as -1024, missing?"


@dataclass(frozen=True)
class Reference:
    """Values with which a scan is compared, from the training data or from other cases."""

    source: str
    """Name of the reference in messages."""
    labeled: Range | None = None
    """Range of the labeled voxels in HU."""
    scans: ChannelRange | None = None
    """Ranges of the lowest and of the highest value over its scans."""

    @property
    def words(self) -> str:
        """Values of the reference, as the end of a sentence."""
        if self.labeled:
            return f"; the labeled voxels of {self.source} go from {_to(*self.labeled)} HU"
        if self.scans:
            return f"; {self.source} go from {_to(self.scans.lowest[0], self.scans.highest[1])}"
        return ""


NOTHING = Reference("other scans")
"""Reference without any values."""


def thins_out(parts: Iterable[NDArray[Any]], lowest: float) -> bool:
    """Return whether the values below BELOW_MR become fewer toward air, as in the tail of noise.

    A CT that has such values has a peak there: air, or the lung.

    Args:
        parts: the voxels of a channel, block by block.
        lowest: their lowest value.

    >>> noise = np.random.default_rng(0).normal(0, 250, 10_000)
    >>> thins_out([noise], float(noise.min())), thins_out([np.array([-1000.0, 40.0])], -1000.0)
    (True, False)
    """
    if lowest >= BELOW_MR:
        return False
    low = max(lowest, NEAR_AIR[0])
    middle = (low + BELOW_MR) / 2
    near_air = between = 0
    for part in parts:
        near_air += int(np.count_nonzero((part >= low) & (part < middle)))
        between += int(np.count_nonzero((part >= middle) & (part < BELOW_MR)))
    return near_air < THINNER * between


def looks_like_ct(lowest: float, highest: float, *, whole: bool, noise: bool = False) -> bool:
    """Return whether the values are almost certainly Hounsfield units.

    Args:
        lowest: lowest value of the scan.
        highest: highest value of the scan.
        whole: whether all values are whole numbers.
        noise: whether its lowest values are the tail of noise (see `thins_out`).

    >>> looks_like_ct(-1024, 3071, whole=True), looks_like_ct(-3.2, 5.0, whole=False)
    (True, False)
    """
    is_phase = lowest < -MR_PHASE and highest > MR_PHASE
    if not LEAST_HU <= lowest < BELOW_MR or highest <= 0 or is_phase or noise:
        return False
    return whole or NEAR_AIR[0] <= lowest <= NEAR_AIR[1]


def ct_warning(lowest: float, highest: float, reference: Reference = NOTHING) -> str | None:
    """Return a warning if values cannot be HU or are unlike those of the reference, else None.

    The result is None for a constant channel, for which there is a separate warning.

    Args:
        lowest: lowest value of the scan.
        highest: highest value of the scan.
        reference: values with which to compare them.
    """
    if lowest == highest:
        return None
    labeled = reference.labeled
    found = f"the values go from {_to(lowest, highest)}"
    if _of_eight_bits(lowest, highest) and not (labeled and _of_eight_bits(*labeled)):
        return f"{found}, as in a picture of 8 bits{reference.words}. Is this a CT?"
    if _narrow(lowest, highest, labeled):
        return f"{found}, too narrow for Hounsfield units: they seem to be scaled{reference.words}"
    if lowest >= 0 and _reaches_below_water(reference):
        return f"{found}, and none is below 0{reference.words}. {OFFSET}"
    if labeled and (highest < labeled[0] or lowest > labeled[1]):
        return f"{found}, and none is in the range of {reference.source}{reference.words}"
    return _unlike_scans(lowest, found, reference)


def air_warning(lowest: float, highest: float, reference: Reference) -> str | None:
    """Return a warning if a scan shows no air and all scans of the reference do, else None.

    The scan may be a CT that was cropped inside the body, or another modality; the values do not
    show which. The result is None for a constant channel, for which there is a separate warning.
    The arguments are those of `ct_warning`.
    """
    scans = reference.scans
    if scans is None or scans.lowest[1] > SHOWS_AIR or lowest <= NO_AIR or lowest == highest:
        return None
    low, high = scans.lowest
    usual = f"{low:.6g}" if low == high else _to(low, high)
    return (
        f"the lowest value is {lowest:.6g}; {reference.source} reach {usual}."
        " Is this scan a CT in Hounsfield units, and does it show air?"
    )


def other_modality_warning(
    lowest: float, highest: float, reference: Reference, *, whole: bool, noise: bool = False
) -> str | None:
    """Return a warning if a scan looks like CT and the z-scored reference does not, else None.

    The arguments are those of `looks_like_ct`, and the values with which to compare them.
    """
    scans = reference.scans
    if scans is None or scans.lowest[0] < BELOW_MR:
        return None
    if not looks_like_ct(lowest, highest, whole=whole, noise=noise):
        return None
    return f"the values go from {_to(lowest, highest)} and look like CT{reference.words}"


def _of_eight_bits(lowest: float, highest: float) -> bool:
    return lowest >= 0 and highest <= EIGHT_BITS


def _narrow(lowest: float, highest: float, labeled: Range | None) -> bool:
    if labeled is None:
        return highest - lowest < LEAST_RANGE
    return (highest - lowest) * NARROW < labeled[1] - labeled[0]


def _reaches_below_water(reference: Reference) -> bool:
    """Return whether values below 0 are expected: always, unless the reference has none."""
    labeled = reference.labeled
    if reference.scans is None:
        return labeled is None or labeled[0] < 0
    return reference.scans.lowest[1] < BELOW_WATER or (labeled is not None and labeled[0] < 0)


def _unlike_scans(lowest: float, found: str, reference: Reference) -> str | None:
    scans = reference.scans
    if lowest < LEAST_HU and (scans is None or scans.lowest[0] >= LEAST_HU):
        return f"{found}, lower than any Hounsfield unit{reference.words}"
    if scans and scans.lowest[0] >= 0 and lowest < BELOW_MR:
        return (
            f"{found}, but {reference.source} have no value below 0. Is an offset, such as 1024,"
            " missing?"
        )
    return None


def _to(low: float, high: float) -> str:
    return f"{low:.6g} to {high:.6g}"
