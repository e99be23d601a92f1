"""Whether the values of a scan can be what a model was trained on. Only CT has values that mean the same everywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.plans import ChannelPlan, Plan
from segkit.preprocessing.chain import ScanParts
from segkit.preprocessing.intensity import Normalizer
from segkit.preprocessing.remarks import remarks

log = logging.getLogger(__name__)

EIGHT_BITS = 255
NARROW = 10
"""A scan has air, and so more than this part of the range that the labelled voxels of the training had."""


def log_remarks(parts: ScanParts, plan: Plan, *, where: str | Path) -> None:
    """Log what is odd about a scan."""
    for remark in remarks(parts.grid, plan, parts.normalizers, where=where):
        log.warning("%s", remark)
    for problem in odd_ranges(parts.normalizers):
        log.warning("%s, %s", where, problem)


def odd_ranges(found: Sequence[Normalizer]) -> list[str]:
    """What contradicts the training data in a scan's channels, in words; nothing where all may be well.

    It compares the lowest and the highest value of the scan with what a plan keeps of the training: the 0.5th and the
    99.5th percentile of the labelled voxels of a CT. The values of an MR mean something in their own scan only, and
    nothing is said of them, nor of a channel with one constant value, which is said elsewhere.
    """
    problems = {each.channel.name: _odd(each) for each in found}
    return [f"channel {name}: {problem}" for name, problem in problems.items() if problem]


def _odd(found: Normalizer) -> str | None:
    channel, low, high = found.channel, found.lowest, found.highest
    if channel.scheme != "ct" or low == high:
        return None
    values = f"the values go from {low:.6g} to {high:.6g}, and"
    if low >= 0 and high <= EIGHT_BITS and not _inside(channel, 0, EIGHT_BITS):
        return f"{values} look like a picture of 8 bits; {_trained(channel)}"
    if low >= 0 > channel.lower:
        return f"{values} none is below 0; {_trained(channel)}. Is an offset, such as -1024, missing?"
    if high < channel.lower or low > channel.upper:
        return f"{values} none is in the range of the training; {_trained(channel)}"
    if (high - low) * NARROW < channel.upper - channel.lower:
        return f"{values} are scaled, it seems; {_trained(channel)}"
    return None


def _inside(channel: ChannelPlan, low: float, high: float) -> bool:
    return low <= channel.lower and channel.upper <= high


def _trained(channel: ChannelPlan) -> str:
    return f"the model was trained on Hounsfield units, its labels from {channel.lower:.6g} to {channel.upper:.6g}"
