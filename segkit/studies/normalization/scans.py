"""Measurements on whole validation scans: Dice at several overlaps, tile mismatch, training mode.

Windows at two overlaps may be the same, as where one window covers a scan; they are then predicted
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import Network, count_windows, window_starts
from segkit.studies.normalization.batch_statistics import (
    depends_on_the_batch,
    in_company,
    training_statistics,
)
from segkit.studies.normalization.measurement import Measurement
from segkit.studies.normalization.tiling import changed, padded, trimmed
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.training.validation import dice_per_label

Dice = dict[str, float]
"""Dice by label; a label that neither map has is absent."""


@dataclass(frozen=True)
class ScanResult:
    """Prediction of one scan with windows at one overlap."""

    dice: Dice
    windows: int
    mismatch: dict[str, float]
    """Tile mismatch by measure; empty where the scan has one window."""


@torch.inference_mode()
def scan_measurements(
    cell: TrainedCell, cases: Sequence[PreparedCase], overlaps: Sequence[float]
) -> Iterator[Measurement]:
    """Yield Dice, number of windows and tile mismatch of every scan at every overlap."""
    for case in cases:
        done: dict[object, ScanResult] = {}
        for overlap in overlaps:
            key = _starts(cell, case, overlap)
            if key not in done:
                done[key] = _predict(cell, case, overlap)
            yield from _as_measurements(case, overlap, done[key])


@torch.inference_mode()
def training_mode_measurements(
    cell: TrainedCell, cases: Sequence[PreparedCase]
) -> Iterator[Measurement]:
    """Yield Dice with the norms in training mode, and the gap to evaluation, without overlap.

    Each window is computed in a batch as large as in the training, with patches of other validation
    cases, drawn as the training draws them. A norm without running statistics treats every sample
    by itself; there the batch is the window alone.
    """
    for case in cases:
        image, windows = _image(cell, case), _windows(cell, 0.0, batch=1)
        scores = _scores(cell, cell.mode.wrap(cell.network), image, windows)
        with training_statistics(cell.network):
            network = in_company(cell.mode.wrap(cell.network), _companions(cell, case))
            in_batches = _scores(cell, network, image, windows)
        evaluated, trained = _dice(cell, case, scores), _dice(cell, case, in_batches)
        for label in evaluated.keys() & trained.keys():
            gap = evaluated[label] - trained[label]
            for name, value in (
                ("dice_batch_statistics", trained[label]),
                ("train_eval_gap", gap),
            ):
                yield Measurement(
                    name,
                    value,
                    case=case.id,
                    label=label,
                    overlap=0.0,
                    batch=cell.plan.batch_size,
                )


def _as_measurements(
    case: PreparedCase, overlap: float, result: ScanResult
) -> Iterator[Measurement]:
    for label, value in result.dice.items():
        yield Measurement("dice", value, case=case.id, label=label, overlap=overlap)
    yield Measurement("windows", result.windows, case=case.id, overlap=overlap)
    for name, share in result.mismatch.items():
        yield Measurement(name, share, case=case.id, overlap=overlap)


def _predict(cell: TrainedCell, case: PreparedCase, overlap: float) -> ScanResult:
    windows, network = _windows(cell, overlap), cell.mode.wrap(cell.network)
    whole, inside = padded(_image(cell, case), windows)
    scores = _scores(cell, network, whole, windows)
    dice = _dice(cell, case, scores[:, *inside])
    first = _labels(cell, scores)
    del scores
    part, place = trimmed(whole, windows, cell.plan.network.divisor)
    count = count_windows(case.labels.shape, windows.edges, overlap)
    if part is None or place is None:
        return ScanResult(dice, count, {})
    second = _labels(cell, _scores(cell, network, part, windows))
    return ScanResult(dice, count, _shares(*changed(first, second, place, inside)))


def _shares(differ: Tensor, labeled: Tensor) -> dict[str, float]:
    """Return the share of differing voxels, among all and, if there are any, the labeled ones."""
    shares = {"tile_mismatch": float(differ.double().mean())}
    if labeled.any():
        shares["tile_mismatch_foreground"] = int(differ.sum()) / int(labeled.sum())
    return shares


def _scores(cell: TrainedCell, network: Network, image: Tensor, windows: Windows) -> Tensor:
    with cell.mode.autocast(cell.device):
        return predict_scores(network, image, windows)


def _labels(cell: TrainedCell, scores: Tensor) -> Tensor:
    """Return the label of each voxel (1, X, Y, Z), or with regions whether each contains it."""
    return scores > 0 if cell.plan.regions else scores.argmax(0, keepdim=True).to(torch.int16)


def _dice(cell: TrainedCell, case: PreparedCase, scores: Tensor) -> Dice:
    reference = torch.from_numpy(np.array(case.labels, dtype=np.int64)).to(cell.device)
    by_label = zip(cell.plan.labels, dice_per_label(scores, reference, cell.plan), strict=True)
    return {name: float(dice) for name, dice in by_label if not dice.isnan()}


def _image(cell: TrainedCell, case: PreparedCase) -> Tensor:
    return torch.from_numpy(np.array(case.image)).to(cell.device)


def _windows(cell: TrainedCell, overlap: float, batch: int | None = None) -> Windows:
    plan = cell.plan
    return Windows(plan.patch, overlap, batch=batch, slice_axis=plan.slice_axis)


def _starts(cell: TrainedCell, case: PreparedCase, overlap: float) -> object:
    """Return a value that is the same for two overlaps with the same windows."""
    edges = cell.plan.patch
    return tuple(
        tuple(window_starts(max(size, edge), edge, overlap))
        for size, edge in zip(case.labels.shape, edges, strict=True)
    )


def _companions(cell: TrainedCell, case: PreparedCase) -> Callable[[int], Tensor]:
    """Return a function from the number of a window to the other patches of its batch."""
    others = [other for other in cell.cases if other.id != case.id] or [case]
    patches, plan = cell.patches(others), cell.plan
    count = plan.batch_size - 1 if depends_on_the_batch(cell.network) else 0

    def companions(window: int) -> Tensor:
        numbers = range(window * count, (window + 1) * count)
        images = [patches[number]["image"] for number in numbers]
        batch = torch.stack(images) if images else torch.empty(0, len(plan.channels), *plan.patch)
        return batch if plan.slice_axis is None else batch.squeeze(2 + plan.slice_axis)

    return companions
