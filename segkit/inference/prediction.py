"""Prediction: the result of one scan; the results that may be wanted; the scan as it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypedDict

from numpy.typing import ArrayLike

from segkit.errors import UsageError
from segkit.io import from_object
from segkit.labels.voxel_values import Kind, Temperatures
from segkit.plans.plan import Plan
from segkit.preprocessing.harmonization import (
    ScanHarmonization,
    named_group,
    planned_harmonization,
)
from segkit.progress import WindowProgress
from segkit.quality.expected_dice import LabelQuality
from segkit.volume import Box, Volume

BACKGROUND = "background"

Result = Literal["labels", "uncertainty", "probabilities"]
"""Name of a map that is predicted; see the attributes of `Prediction`."""


@dataclass(frozen=True)
class Wanted:
    """Results that are computed besides the label map."""

    uncertainty: bool = False
    probabilities: Kind | None = None
    """Number type of the probabilities; None computes none."""
    scratch: Path | None = None
    """Folder for a temporary file that holds large probabilities; None holds them in memory."""
    expected_dice: bool = False
    """True also estimates the Dice of each label, if the model can (`segkit.quality`)."""
    temperatures: Temperatures = None
    """Temperatures that calibrate probabilities and uncertainty; None leaves them as they are."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Result of one scan, on the scan's own grid."""

    labels: Volume
    """Label map (1, X, Y, Z) in the values of the label files, after the model's postprocessing."""
    label_names: Mapping[str, int]
    """Value of each label or region in the label map, by name."""
    channel_names: tuple[str, ...] = ()
    """Name of each channel of ``probabilities``: background and the labels, or the regions."""
    probabilities: Volume | None = None
    """Probabilities (K, X, Y, Z), 0 to 1, before the model's postprocessing."""
    uncertainty: Volume | None = None
    """Uncertainty (1, X, Y, Z), from 0 (certain) to 1."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: prepare, network, restore, and locate with a coarse model."""
    box: Box | None = None
    """Box of the scan that a coarse model found; None means that all of the scan was predicted."""
    tile_mismatch: float | None = None
    """Fraction of voxels as in `segkit.sliding_window.disagreement`, where it was counted."""
    scan_warnings: tuple[str, ...] = ()
    """Sentences on what is unusual about the scan."""
    label_warnings: Mapping[str, str] = field(default_factory=dict)
    """Sentence on each label that differs much from the training data, by name."""
    expected_dice: Mapping[str, LabelQuality] = field(default_factory=dict)
    """Expected Dice of each label, by name; empty if it is not wanted, or the model has none."""
    no_dice_because: str = ""
    """Why a wanted Dice cannot be expected of this scan; empty if it can."""
    temperatures: Temperatures = None
    """Temperature of each channel of ``probabilities`` that calibrated them and the uncertainty."""
    harmonization: ScanHarmonization | None = None
    """How the scan was harmonized, and its group; None if the model does not harmonize."""

    def probability(self, name: str) -> Volume:
        """Return the probability (1, X, Y, Z) of a label, a region, or ``background``.

        Raises:
            UsageError: the model has no such label, or the prediction has no probabilities.
        """
        if self.probabilities is None:
            raise UsageError(
                "this prediction has no probabilities; "
                "ask for them with predict(..., probabilities=True)"
            )
        if name not in self.channel_names:
            raise UsageError(
                f"no label is called {name!r}; there are {', '.join(self.channel_names)}"
            )
        channel = self.channel_names.index(name)
        return self.probabilities.with_array(self.probabilities.array[channel : channel + 1])

    def __repr__(self) -> str:
        maps = ["labels"]
        if self.probabilities is not None:
            maps.append("probabilities")
        if self.uncertainty is not None:
            maps.append("uncertainty")
        labels = ", ".join(self.label_names)
        return f"Prediction({labels}; {' and '.join(maps)} of {self.labels!r})"


class Options(TypedDict, total=False):
    """Options of `Predictor.predict`; `given_scan` explains each of them."""

    spacing: Sequence[float] | None
    affine: ArrayLike | None
    where: str | PathLike[str] | None
    progress: WindowProgress | None
    after: int
    other_modality: Mapping[str, str]
    group: str
    as_read: Volume | None


@dataclass(frozen=True, eq=False)
class GivenScan:
    """Scan to predict, read, and how its prediction is reported."""

    volume: Volume
    where: Path
    """The scan's name in messages."""
    progress: WindowProgress | None = None
    after: int = 0
    """Bytes that the caller needs for the result; they count as memory."""
    other_modality: Mapping[str, str] = field(default_factory=dict)
    """Warning for each channel of another modality than the model's, instead of one on values."""
    group: str = ""
    """Group (site, scanner) by which the scan is harmonized; "" if nobody names it."""
    as_read: Volume | None = None
    """The scan before a tilt of its slices was undone; None means ``volume``."""


def given_scan(
    scan: object,
    plan: Plan,
    *,
    spacing: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
    where: str | PathLike[str] | None = None,
    progress: WindowProgress | None = None,
    after: int = 0,
    other_modality: Mapping[str, str] = MappingProxyType({}),
    group: str = "",
    as_read: Volume | None = None,
) -> GivenScan:
    """Return a scan as a Volume, for a model with this plan.

    Args:
        scan: a path, a nibabel image, a SimpleITK image, a Volume, or a numpy array (X, Y, Z) or
            (C, X, Y, Z).
        plan: plan of the model.
        spacing: voxel edges of a numpy array in mm along X, Y, Z (right, anterior, superior).
        affine: matrix (4, 4) from voxel indices of a numpy array to mm in RAS+.
        where: the scan's name in messages.
        progress: called with the number of windows done and the number of windows.
        after: bytes that the caller needs once it has the result; they count for ``max_memory``.
        other_modality: warning, by channel, for each channel whose modality is not the model's; it
            replaces the warning about the values of the channel.
        group: group (site, scanner) of the scan for a model that harmonizes; by default that of its
            DICOM attributes or intensities, as the harmonization was fitted.
        as_read: the scan before a tilt of its slices was undone, if it was.

    Raises:
        InputError: a scan that cannot be read.
        UsageError: a numpy array without a geometry, or a geometry for another kind of scan.
    """
    name = Path(where or (scan if isinstance(scan, str | PathLike) else "scan"))
    volume = from_object(
        scan, spacing=spacing, affine=affine, channels=len(plan.channels), unit=plan.unit
    )
    if not group and isinstance(scan, str | PathLike):
        group = group_of_scan(plan, Path(scan))
    return GivenScan(volume, name, progress, after, other_modality, group, as_read)


def group_of_scan(plan: Plan, image: Path, *, table: str = "", header: Any = None) -> str:
    """Return the group that a table or DICOM names for a scan; "" if its intensities tell it.

    Args:
        plan: plan of the model.
        image: first image of the scan.
        table: group of the scan in a table.
        header: header of the DICOM series, if it is open.
    """
    model = planned_harmonization(plan)
    return named_group(model, table, image, header) if model else ""


def channel_names(plan: Plan) -> tuple[str, ...]:
    """Return the name of each output of a network; regions have no output for background."""
    return tuple(plan.labels) if plan.regions else (BACKGROUND, *plan.labels)
