"""Can the values of a channel be Hounsfield units? Only CT has values that mean the same in every scan."""

from __future__ import annotations

from dataclasses import dataclass

from segkit.plans.ranges import ChannelRange, Range

EIGHT_BITS = 255
NARROW = 10
"""A scan has air, and so more than this part of the range that the labelled voxels have."""
LEAST_RANGE = 100.0
"""HU between the lowest and the highest value of a CT; a scan with less is scaled."""
BELOW_WATER = -100.0
"""HU; a CT that reaches lower holds fat or air."""
NEAR_AIR = (-1200.0, -800.0)
"""HU; air has -1000."""
SHOWS_AIR = -500.0
"""HU; the lowest value of a CT that shows air is not above it, although interpolation and noise raise it."""
NO_AIR = -200.0
"""HU; a CT whose lowest value is above it shows no air: fat, the next in line, has about -100."""
BELOW_MR = -500.0
"""Lower values are rare in other modalities than CT."""
LEAST_HU = -5000.0
"""Scanners write values such as -1024, -2000, -3024 or -4095 outside the field of view."""
MR_PHASE = 4000.0
"""Phase images of MR have whole numbers from -4096 to 4095."""
OFFSET = "Is an offset, such as -1024, missing?"


@dataclass(frozen=True)
class Reference:
    """What the values of a scan are compared with: the training data, or the other cases of a dataset."""

    source: str
    """Its name in messages."""
    labelled: Range | None = None
    """Lower and upper end of the labelled voxels."""
    scans: ChannelRange | None = None
    """Lowest and highest values of its scans."""

    @property
    def words(self) -> str:
        """The values it has, as the end of a sentence."""
        if self.labelled:
            return f"; the labelled voxels of {self.source} go from {_to(*self.labelled)} HU"
        if self.scans:
            return f"; {self.source} go from {_to(self.scans.lowest[0], self.scans.highest[1])}"
        return ""


NOTHING = Reference("other scans")


def looks_like_ct(lowest: float, highest: float, *, whole: bool) -> bool:
    """Return whether the values can hardly be anything but Hounsfield units.

    >>> looks_like_ct(-1024, 3071, whole=True), looks_like_ct(-3.2, 5.0, whole=False)
    (True, False)
    """
    if (
        not LEAST_HU <= lowest < BELOW_MR
        or highest <= 0
        or (lowest < -MR_PHASE and highest > MR_PHASE)
    ):
        return False
    return whole or NEAR_AIR[0] <= lowest <= NEAR_AIR[1]


def ct_warning(lowest: float, highest: float, reference: Reference = NOTHING) -> str | None:
    """Say why the values of a CT from ``lowest`` to ``highest`` cannot be HU, or do not belong to the reference.

    Return None if they may, and for a constant channel, which other warnings are about.
    """
    if lowest == highest:
        return None
    labelled = reference.labelled
    found = f"the values go from {_to(lowest, highest)}"
    if _of_eight_bits(lowest, highest) and not (labelled and _of_eight_bits(*labelled)):
        return f"{found}, as in a picture of 8 bits{reference.words}"
    if _narrow(lowest, highest, labelled):
        return f"{found}, too narrow for Hounsfield units: they seem to be scaled{reference.words}"
    if lowest >= 0 and _reaches_below_water(reference):
        return f"{found}, and none is below 0{reference.words}. {OFFSET}"
    if labelled and (highest < labelled[0] or lowest > labelled[1]):
        return f"{found}, and none is in the range of {reference.source}{reference.words}"
    return _unlike_scans(lowest, found, reference)


def air_warning(lowest: float, highest: float, reference: Reference) -> str | None:
    """Return a question where a scan has no value as low as air and all scans of the reference have; else None.

    The scan may be a CT that was cropped inside the body, or another modality: the values do not tell which.
    Return None for a constant channel, which other warnings are about.
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
    lowest: float, highest: float, reference: Reference, *, whole: bool
) -> str | None:
    """Say that a scan looks like CT where the reference, which is normalized by z-score, does not; else None."""
    scans = reference.scans
    if (
        scans is None
        or scans.lowest[0] < BELOW_MR
        or not looks_like_ct(lowest, highest, whole=whole)
    ):
        return None
    return f"the values go from {_to(lowest, highest)} and look like CT{reference.words}"


def _of_eight_bits(lowest: float, highest: float) -> bool:
    return lowest >= 0 and highest <= EIGHT_BITS


def _narrow(lowest: float, highest: float, labelled: Range | None) -> bool:
    if labelled is None:
        return highest - lowest < LEAST_RANGE
    return (highest - lowest) * NARROW < labelled[1] - labelled[0]


def _reaches_below_water(reference: Reference) -> bool:
    """Whether lower values than 0 are to be expected: always, unless the reference has none."""
    if reference.scans:
        return reference.scans.lowest[1] < BELOW_WATER or (
            reference.labelled is not None and reference.labelled[0] < 0
        )
    return reference.labelled is None or reference.labelled[0] < 0


def _unlike_scans(lowest: float, found: str, reference: Reference) -> str | None:
    scans = reference.scans
    if lowest < LEAST_HU and (scans is None or scans.lowest[0] >= LEAST_HU):
        return f"{found}, lower than any Hounsfield unit{reference.words}"
    if scans and scans.lowest[0] >= 0 and lowest < BELOW_MR:
        return f"{found}, but {reference.source} have no value below 0. Is an offset, such as 1024, missing?"
    return None


def _to(low: float, high: float) -> str:
    return f"{low:.6g} to {high:.6g}"
