"""Windows on which an exported network is compared with the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from segkit.bundle.bundle import Bundle
from segkit.bundle.overlap_dice import USUAL_OVERLAP
from segkit.config.run_file import read_config
from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError, first_few
from segkit.inference.files.channels import model_channels
from segkit.inference.files.inputs import find_scans
from segkit.inference.files.scan import Scan
from segkit.inference.predict_scan import prepare_scan
from segkit.inference.prediction import GivenScan
from segkit.inference.scoring.scan_scorer import CPU, TimedScan
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import score_slabs
from segkit.volume import Shape

log = logging.getLogger(__name__)

MOST_SCANS = 3
"""Number of scans from which windows are taken, spread evenly over those that there are."""


@dataclass(frozen=True, eq=False)
class ComparisonWindows:
    """Windows in the form in which the network gets them."""

    windows: tuple[Tensor, ...]
    """Each (1, C, X, Y[, Z]), float32."""
    source: str
    """Where they come from, in words."""


def windows_for(bundle: Bundle, scans: Sequence[Path]) -> ComparisonWindows:
    """Return windows of ``scans``, or else of the data of the run, or else of random numbers.

    Args:
        bundle: the model.
        scans: paths as `segkit predict` takes them.

    Raises:
        InputError: scans that cannot be read, or do not suit the model.
    """
    found = find_scans(scans, model_channels([bundle])) if scans else _scans_of_run(bundle)
    if not found:
        log.warning(
            "there is no scan to compare on, and random numbers are used instead; "
            "--scan SCAN compares on a scan"
        )
        return ComparisonWindows(tuple(_random_windows(bundle.plan)), "of random numbers")
    chosen = [found[index] for index in _spread(len(found), MOST_SCANS)]
    windows = [window for scan in chosen for window in _windows_of(scan, bundle.plan)]
    return ComparisonWindows(
        tuple(windows), f"of {first_few([scan.id for scan in chosen], MOST_SCANS)}"
    )


def window_shape(plan: Plan) -> tuple[int, ...]:
    """Return the shape (C, X, Y[, Z]) of a window."""
    return (len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))


def _scans_of_run(bundle: Bundle) -> list[Scan]:
    """Return the cases that the run was trained on; nothing if this is not a run with its data.

    Only a run is asked for its data: a bundle may come from a stranger, and a path in it is not
    followed.
    """
    config = bundle.path.parent / "config.yaml"
    if bundle.path.name != "bundle" or not config.is_file():
        return []
    try:
        given = read_config(config).dataset
        cases = read_dataset(given.path or "", given.channels, given.labels).cases
    except InputError as error:
        log.info("the data of the run cannot be read: %s", error)
        return []
    return [Scan(case.id, case.images) for case in cases]


def _spread(count: int, most: int) -> list[int]:
    """Return up to ``most`` indices below ``count``, spread evenly.

    >>> _spread(200, 3), _spread(2, 3)
    ([0, 66, 133], [0, 1])
    """
    number = min(count, most)
    return [index * count // number for index in range(number)]


def _windows_of(scan: Scan, plan: Plan) -> Iterator[Tensor]:
    """Yield the windows of a prediction that hold the middle and the first voxel of a scan."""
    prepared = prepare_scan(GivenScan(scan.read(), scan.where), plan)
    image = TimedScan(prepared.parts, Stopwatch(), window=plan.patch, overlap=USUAL_OVERLAP)
    x, y, z = image.shape
    middle = _window_at((x // 2, y // 2, z // 2), image, plan)
    corner = _window_at((0, 0, 0), image, plan)
    yield middle
    if not torch.equal(middle, corner):
        yield corner


def _window_at(voxel: Shape, image: TimedScan, plan: Plan) -> Tensor:
    """Return a window (1, C, X, Y[, Z]) of a prediction that holds a voxel."""
    x, y, z = (slice(index, index + 1) for index in voxel)
    windows = Windows(plan.patch, USUAL_OVERLAP, slice_axis=plan.slice_axis, cover=(x, y, z))
    kept: list[Tensor] = []

    def keep(batch: Tensor) -> Tensor:
        kept.append(batch.clone())
        return batch[:, :1]

    for _ in score_slabs(keep, image, windows, device=CPU, around=image.margins):
        pass
    (window,) = kept
    return window


def _random_windows(plan: Plan) -> Iterator[Tensor]:
    """Yield a window with the mean and spread of z-scores, and one of small contrast.

    In the second one the spread is a tenth of the distance from 0, as in air.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn((2, *window_shape(plan)), generator=generator)
    yield numbers[:1]
    yield numbers[1:] / 10 - 1
