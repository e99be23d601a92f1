"""Harmonization of a scan as the plan says, for training and prediction alike.

The function of a scan follows from the fitted numbers in the plan, from the intensities of the
whole scan as it was read, and from its group. It is applied before normalization.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from segkit.dataset.groups import dicom_group
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import Harmonization
from segkit.harmonization.model_file import harmonization_of
from segkit.harmonization.monotone_map import MonotoneMap
from segkit.harmonization.scan import group_of, is_known_group, maps_of
from segkit.plans.plan import Plan
from segkit.preprocessing.content_values import channel_values
from segkit.volume import Volume


@dataclass(frozen=True, eq=False)
class ScanHarmonization:
    """Function of each channel of a scan, and the group from which it was made."""

    maps: tuple[MonotoneMap, ...]
    group: str | None
    """Group of the scan; None if it is unknown, or if there are no groups."""
    unknown: str = ""
    """Sentence about a group that was not among the training scans; "" for a known one."""
    instead: str = ""
    """Values that decide in place of an unknown group."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a user should know; none for a known group."""
        if not self.unknown:
            return ()
        return (f"{self.unknown}; it is harmonized by {self.instead}",)


def planned_harmonization(plan: Plan, where: str | Path = "plan") -> Harmonization | None:
    """Return the harmonization of a plan, checked; None if it has none.

    Raises:
        InputError: a number in it cannot be used, or its channels are not those of the plan.
    """
    return None if plan.harmonization is None else harmonization_of(plan.harmonization, where)


def is_harmonized_by_table(plan: Plan) -> bool:
    """Return whether the group that a table gives a scan decides how it is harmonized."""
    harmonization = plan.harmonization or {"grouping": {"source": "none"}}
    return bool(harmonization["grouping"]["source"] == "table")


def named_group(model: Harmonization, group: str, image: Path, header: Any = None) -> str:
    """Return the group that a table or DICOM names, as the harmonization was fitted; else "".

    Args:
        model: the harmonization.
        group: group of the scan in the table of the dataset.
        image: first image of the scan.
        header: header of its DICOM series, if it is open.
    """
    if model.grouping.source == "dicom":
        return dicom_group(image, model.grouping.tags, header)
    return group if model.grouping.source == "table" else ""


class Harmonizer(Protocol):
    """Function that returns how a scan is harmonized."""

    def __call__(
        self, volume: Volume, group: str = "", *, where: str | Path = "scan"
    ) -> ScanHarmonization:
        """Return the harmonization of a scan.

        Args:
            volume: the whole scan as it was read.
            group: group of the scan; "" lets its intensities tell it, if the plan's groups were
                found from intensities.
            where: name of the scan in messages.

        Raises:
            InputError: the values are so large that they have no standard deviation.
        """
        ...


def harmonizer_of(plan: Plan) -> Harmonizer | None:
    """Return the function that harmonizes a scan as a plan says; None if the plan does not.

    Raises:
        InputError: a number in the plan's harmonization cannot be used.
    """
    model = planned_harmonization(plan)
    return None if model is None else partial(_of_scan, model)


def _of_scan(
    model: Harmonization, volume: Volume, group: str = "", *, where: str | Path = "scan"
) -> ScanHarmonization:
    values = channel_values(volume, where=where)
    found = group_of(model, values, group or None)
    maps = tuple(maps_of(model, values, found))
    if is_known_group(model, found):
        return ScanHarmonization(maps, found)
    own = "quantiles" if METHODS[model.method].needs_groups else "intensities"
    return ScanHarmonization(maps, found, _unknown(model, found), f"its own {own}")


def _unknown(model: Harmonization, group: str | None) -> str:
    names = ", ".join(model.scans)
    if group:
        return f"the group {group!r} is not among those of the training scans ({names})"
    if model.grouping.mixture is not None:
        return f"the intensities are outside of all groups of the training scans ({names})"
    return f"the group is not given, and the training scans have the groups {names}"
