"""Choose the intensity normalization of each channel, and whether constant borders are cropped."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segkit.fingerprint.fingerprint import Fingerprint, Intensity
from segkit.plans.plan import ChannelPlan
from segkit.preprocessing.intensity import scheme_of

MASKED_BELOW = 3 / 4
"""Share of content in a typical scan below which z-scores are computed inside the content only.

The rule is that of nnU-Net.
"""


def plan_channels(
    fingerprint: Fingerprint, names: Sequence[str], *, crop: bool
) -> tuple[tuple[ChannelPlan, ...], dict[str, str]]:
    """Return a ChannelPlan for each channel, and the reasons under the keys "channel <name>".

    Args:
        fingerprint: measurements of the dataset.
        names: names of the channels.
        crop: whether the constant border is cropped.
    """
    masked = crop and content_share(fingerprint) < MASKED_BELOW
    channels, reasons = [], {}
    for name, facts in zip(names, fingerprint.intensities, strict=True):
        channel, reason = _channel(name, facts, masked)
        channels.append(channel)
        reasons[f"channel {name}"] = reason
    return tuple(channels), reasons


def plan_crop(fingerprint: Fingerprint) -> tuple[bool, str]:
    """Return whether to crop the constant border, which it must not if it has labels, and why."""
    lost = sum(bool(case.outside) for case in fingerprint.cases)
    if lost:
        return (
            False,
            # A case id may name a patient, and this reason is part of every model.
            f"Nothing is cut away: in {lost} cases, labels lie in the constant border.",
        )
    kept = content_share(fingerprint)
    if kept > 0.995:
        return (
            True,
            "These scans have no constant border; if a new scan has one, it is cut away.",
        )
    return True, f"A border of one constant value is cut away; {kept:.0%} of a typical scan remain."


def content_share(fingerprint: Fingerprint) -> float:
    """Return the median over the cases of the share of voxels inside the content box."""
    shares = [math.prod(case.cropped) / math.prod(case.shape) for case in fingerprint.cases]
    return float(np.median(shares))


def _channel(name: str, facts: Intensity, masked: bool) -> tuple[ChannelPlan, str]:
    scheme = scheme_of(name)
    if scheme == "ct":
        planned = ChannelPlan(name, "ct", facts.lower, facts.upper, facts.mean, facts.std or 1.0)
        return planned, (
            f"CT values mean the same in every scan: cut off at {facts.lower:.0f} and"
            f" {facts.upper:.0f}, the range of 99 % of the labeled voxels, then scaled by their"
            " mean and spread."
        )
    if scheme == "none":
        return ChannelPlan(name, "none"), "Left unchanged, because of the channel's name."
    where = " inside its content" if masked else ""
    return ChannelPlan(name, "zscore", masked=masked), (
        f"Every scan is shifted and scaled so that{where} its mean is 0 and its standard deviation"
        " 1."
    )
