"""Prediction: all that is known of one scan once a model has seen it, and what may be asked for besides the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, cast

from numpy.typing import ArrayLike, NDArray

from segkit.errors import UsageError
from segkit.inference.scoring.probabilities import STEPS, Kind
from segkit.io.scaled import ScaledArray
from segkit.plans.plan import Plan
from segkit.progress import WindowProgress
from segkit.volume import Box, Volume

BACKGROUND = "background"


@dataclass(frozen=True)
class Wanted:
    """What is asked for besides the label map."""

    uncertainty: bool = False
    probabilities: Kind | None = None
    """The type of numbers that holds them."""
    scratch: Path | None = None
    """Folder for a temporary file that holds large probabilities; None holds them in memory."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The result of one scan, on the scan's own grid."""

    labels: Volume
    """Label map (1, X, Y, Z) in the values of the label files, after the rules of the model."""
    label_names: Mapping[str, int]
    """Name of each label or region -> its value in the label map."""
    channel_names: tuple[str, ...] = ()
    """What each channel of ``probabilities`` belongs to: background and the labels, or the regions."""
    probabilities: Volume | None = None
    """(K, X, Y, Z), 0 to 1, as the network gave them: before the rules of the model."""
    uncertainty: Volume | None = None
    """(1, X, Y, Z), 0 to 1."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By part: locate (where a coarse model did), prepare, network, restore."""
    box: Box | None = None
    """Voxels of the scan that a coarse model left to the model; None is all of them."""
    tile_mismatch: float | None = None
    """Share of voxels as in `segkit.sliding_window.disagreement`, where it was counted."""

    scan_warnings: tuple[str, ...] = ()
    """What is unusual about the scan."""
    label_warnings: Mapping[str, str] = field(default_factory=dict)
    """Labels that are far from those of the training data."""

    def probability(self, name: str) -> Volume:
        """Return the probability (1, X, Y, Z) of a label, a region, or ``background``.

        Raises:
            UsageError: a name that the model does not have, or a prediction without probabilities.
        """
        if self.probabilities is None:
            raise UsageError(
                "this prediction has no probabilities; ask for them with predict(..., probabilities=True)"
            )
        if name not in self.channel_names:
            raise UsageError(
                f"no label is called {name!r}; there are {', '.join(self.channel_names)}"
            )
        channel = self.channel_names.index(name)
        return self.probabilities.with_array(self.probabilities.array[channel : channel + 1])

    def __repr__(self) -> str:
        more = [
            name for name in ("probabilities", "uncertainty") if getattr(self, name) is not None
        ]
        return f"Prediction({', '.join(self.label_names)}; {' and '.join(['labels', *more])} of {self.labels!r})"


class Options(TypedDict, total=False):
    """What `Predictor.predict` takes besides the scan: see `Predictor.prediction`."""

    spacing: Sequence[float] | None
    affine: ArrayLike | None
    where: str | PathLike[str] | None
    progress: WindowProgress | None
    after: int


class Volumes(TypedDict):
    """The volumes of a Prediction."""

    labels: Volume
    uncertainty: Volume | None
    probabilities: Volume | None


def volumes_of(scan: Volume, arrays: Sequence[NDArray[Any]], wanted: Wanted) -> Volumes:
    """Return what ``arrays`` (K, X, Y, Z) are: labels, and then what is wanted, in the order of `Wanted`."""
    rest = iter(arrays[1:])
    uncertainty = next(rest) if wanted.uncertainty else None
    shares = next(rest) if wanted.probabilities else None
    if shares is not None and wanted.probabilities == "uint8":
        shares = cast(NDArray[Any], ScaledArray(shares, 1 / STEPS, 0.0))
    return {
        "labels": scan.with_array(arrays[0]),
        "uncertainty": None if uncertainty is None else scan.with_array(uncertainty),
        "probabilities": None if shares is None else scan.with_array(shares),
    }


def channel_names(plan: Plan) -> tuple[str, ...]:
    """Return what each output of a network belongs to: regions have none for background."""
    return tuple(plan.labels) if plan.regions else (BACKGROUND, *plan.labels)
