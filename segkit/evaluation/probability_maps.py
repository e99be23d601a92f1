"""Probabilities beside a prediction (segkit predict --probabilities), compared with the reference.

The map is read in blocks, so its size does not matter. A label is looked at within 10 mm (px) of
the box around its prediction and its reference: in the whole scan, background that nobody would
mistake for the label would make every error look small.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, first_few
from segkit.evaluation.calibration import NO_VOXELS, Reliability, reliability
from segkit.evaluation.measure import Calibrate, Structure, values_of
from segkit.evaluation.overlap import Mask
from segkit.evaluation.pairs import Pair
from segkit.files.names import ITK, NIFTI, PROBABILITIES, case_id, suffix_of
from segkit.io.channel_blocks import channel_blocks
from segkit.io.scans import open_source
from segkit.volume import Box, Grid, Volume

log = logging.getLogger(__name__)

MARGIN = 10.0
"""Distance in mm (px) from the box around a label up to which voxels are looked at."""
SLACK = 1e-3
"""How far a value may be outside 0 and 1 by rounding."""


@dataclass(frozen=True)
class ProbabilityMap:
    """Map of probabilities, with one channel for each label."""

    path: Path
    values: Mapping[str, int]
    """Value in the label map of the label of each channel, in the order of the channels."""

    def channel_of(self, name: str, structure: Structure) -> int | None:
        """Return the channel of a label or region: that with its name, else with its value."""
        names = list(self.values)
        if name in names:
            return names.index(name)
        values = values_of(structure)
        same = [place for place, value in enumerate(self.values.values()) if (value,) == values]
        return same[0] if same else None


def map_beside(prediction: Path) -> ProbabilityMap | None:
    """Return the map beside a label map; None if there is none.

    Raises:
        InputError: the file with the labels of its channels is missing or cannot be used.
    """
    stem = prediction.name[: len(prediction.name) - len(suffix_of(prediction))]
    paths = [prediction.with_name(f"{stem}{PROBABILITIES}{suffix}") for suffix in (*NIFTI, *ITK)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    return ProbabilityMap(
        path, _channels(path, prediction.with_name(f"{stem}{PROBABILITIES}.json"))
    )


def check_maps(pairs: Sequence[Pair]) -> None:
    """Warn of predictions without probabilities.

    Raises:
        InputError: no prediction has any.
    """
    without = [pair.case for pair in pairs if map_beside(pair.prediction) is None]
    if len(without) == len(pairs):
        raise InputError(
            pairs[0].prediction.parent,
            expected=f"probabilities beside the predictions, such as"
            f" {case_id(pairs[0].prediction)}{PROBABILITIES}.nii.gz",
            found="none",
            remedy="Predict with --probabilities, or leave out --calibration.",
        )
    if without:
        log.warning(
            "calibration: %d of %d predictions have no probabilities and no values: %s",
            len(without),
            len(pairs),
            first_few(without),
        )


def calibration_of(
    pair: Pair,
    reference: Volume,
    labels: Mapping[str, Structure],
    annotated: Mask | None = None,
) -> Calibrate | None:
    """Return the function that compares the probabilities of a case; None if it has none.

    Args:
        pair: files of the case.
        reference: label map (1, X, Y, Z) of the reference.
        labels: name -> value of a label, or values of a region.
        annotated: mask (X, Y, Z) of annotated voxels; by default all are.
    """
    probabilities = map_beside(pair.prediction)
    if probabilities is None:
        return None
    return lambda boxes: compare_probabilities(
        probabilities,
        reference.array[0],
        reference.grid,
        labels=labels,
        boxes=boxes,
        annotated=annotated,
    )


def compare_probabilities(
    probabilities: ProbabilityMap,
    reference: NDArray[Any],
    grid: Grid,
    *,
    labels: Mapping[str, Structure],
    boxes: Mapping[str, Box],
    annotated: Mask | None = None,
) -> dict[str, Reliability]:
    """Return how the probabilities of labels compare with the reference.

    Args:
        probabilities: the map.
        reference: label map (X, Y, Z).
        grid: its grid.
        labels: name -> value of a label, or values of a region.
        boxes: box around prediction and reference of each label that occurs; others are left out,
            like regions that are no channel of the map.
        annotated: mask (X, Y, Z) of annotated voxels; by default all are.

    Raises:
        InputError: the map is on another grid, has other channels than the file beside it says, or
            holds values that are no probabilities.
    """
    _check_grid(probabilities, grid)
    wanted: dict[int, list[str]] = {}
    for name in boxes:
        channel = probabilities.channel_of(name, labels[name])
        if channel is not None:
            wanted.setdefault(channel, []).append(name)
    around = {name: _enlarged(box, grid) for name, box in boxes.items()}
    totals = {name: NO_VOXELS for names in wanted.values() for name in names}
    for channel, start, values in channel_blocks(probabilities.path):
        for name in wanted.get(channel, ()):
            part = _part(around[name], start, values.shape[2])
            inside = (*part[:2], slice(part[2].start - start, part[2].stop - start))
            found = np.asarray(values[inside])
            _check_range(probabilities.path, found)
            truth = np.isin(reference[part], values_of(labels[name]))
            if annotated is not None:
                found, truth = found[annotated[part]], truth[annotated[part]]
            totals[name] += reliability(found, truth)
    return totals


def _enlarged(box: Box, grid: Grid) -> Box:
    x, y, z = (
        slice(
            max(0, side.start - math.ceil(MARGIN / edge)),
            min(size, side.stop + math.ceil(MARGIN / edge)),
        )
        for side, edge, size in zip(box, grid.spacing, grid.shape, strict=True)
    )
    return x, y, z


def _part(box: Box, start: int, planes: int) -> Box:
    """Return the part of a box in some planes, which may be empty."""
    first = min(max(box[2].start, start), start + planes)
    return box[0], box[1], slice(first, max(first, min(box[2].stop, start + planes)))


def _channels(path: Path, names: Path) -> dict[str, int]:
    try:
        channels = json.loads(names.read_bytes())["channels"]
        return {str(channel["label"]): int(channel["value"]) for channel in channels}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            names,
            expected=f"the label and value of each channel of {path.name}",
            found="no such file" if isinstance(error, OSError) else "other content",
            remedy="Predict again with --probabilities, which writes both files.",
        ) from error


def _check_grid(probabilities: ProbabilityMap, grid: Grid) -> None:
    source = open_source(probabilities.path)
    if not source.grid.matches(grid):
        raise InputError(
            probabilities.path,
            expected="probabilities on the grid of the reference"
            f" ({' x '.join(map(str, grid.shape))} voxels)",
            found=f"another grid ({' x '.join(map(str, source.grid.shape))} voxels, or another"
            " place or order of voxels)",
            remedy="Predict the scan on whose grid the reference was drawn.",
        )
    if source.channels != len(probabilities.values):
        raise InputError(
            probabilities.path,
            expected=f"{len(probabilities.values)} channels, as the JSON file beside it says",
            found=f"{source.channels}",
            remedy="Predict again with --probabilities, which writes both files.",
        )


def _check_range(path: Path, values: NDArray[Any]) -> None:
    # Written so that NaN is refused as well.
    if values.size and not (values.min() >= -SLACK and values.max() <= 1 + SLACK):
        raise InputError(
            path,
            expected="probabilities from 0 to 1",
            found=f"values from {values.min():.4g} to {values.max():.4g}",
            remedy="Give the map that segkit predict --probabilities writes.",
        )
