"""Refusal of scans that a plan cannot be followed with: other channels, or no voxel sizes."""

from __future__ import annotations

from pathlib import Path

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.volume import Volume


def check_scan(volume: Volume, plan: Plan, where: str | Path) -> None:
    """Check that a scan has the channels and the kind of grid of a plan, and voxels at all.

    Raises:
        InputError: it has not.
    """
    names = ", ".join(channel.name for channel in plan.channels)
    if volume.channels != len(plan.channels):
        plural = "s" if len(plan.channels) > 1 else ""
        raise InputError(
            where,
            expected=f"{len(plan.channels)} channel{plural} ({names})",
            found=f"{volume.channels}",
            remedy=_channel_remedy(volume.channels, len(plan.channels)),
        )
    if volume.unit != plan.unit:
        kinds = {"mm": "a scan with voxel sizes in mm", "px": "a picture without voxel sizes"}
        raise InputError(
            where,
            expected=kinds[plan.unit],
            found=kinds[volume.unit],
            remedy="Use a model that was trained on such images"
            + (", or give the original scan as DICOM or NIfTI." if plan.unit == "mm" else "."),
        )
    if not volume.array.size:
        raise InputError(
            where,
            expected="voxels",
            found=f"the shape {volume.array.shape}",
            remedy="Is this the whole scan?",
        )


def _channel_remedy(found: int, expected: int) -> str:
    if found > expected:
        few = f"the {expected} that are meant as a file of their own"
        return (
            "The file has more images than the model uses (time points, contrasts or colors). Save"
            f" {few if expected > 1 else 'the one that is meant as a file of its own'}."
        )
    return (
        "Give every channel that the model was trained on, in this order: a file of them"
        " all, or one each ('segkit predict --channel NAME=FILE ...', or a CSV file with a"
        " column image:NAME each)."
    )
