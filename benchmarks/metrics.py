"""Measure the metrics of segkit beside those of MONAI, on the same masks, in one process.

    python benchmarks/metrics.py masks PREDICTIONS REFERENCES [--cases 20] [--rounds 5] [--moved 4]
    python benchmarks/metrics.py ct [--shape 512 512 300] [--rounds 3] [--moved 4]
    python benchmarks/metrics.py memory FOLDER [--cases 4]

``masks`` takes two folders of label maps with equal names, ``ct`` builds a phantom of a CT with 14
labels, whose prediction is moved by one voxel in half of the blocks of 16 x 16 x 16 voxels.
``--moved`` moves all predictions by some voxels along X, as if they were wrong. Each round measures
every mask with both, in turn; a table gives the median over the rounds, in seconds of CPU of one
thread, so that other work on the machine counts little. Values that differ end the program.

``memory`` writes label maps of 512 x 512 x 300 voxels with about 100 labels into FOLDER and prints
the most resident memory of ``segkit evaluate`` on one and on all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from ct_phantom import EXTENT, LABELS, ct_phantom
from monai.metrics import (
    compute_average_surface_distance,
    compute_confusion_matrix_metric,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
    get_confusion_matrix,
)
from numpy.typing import NDArray
from processes import resident_memory, run_measured

from segkit.evaluation.measure import measure_masks
from segkit.evaluation.surface import surface_distances
from segkit.io import read_labels, write_labels
from segkit.volume import Volume

BLOCK = 16
TOLERANCE = 1.0
Values = list[float]


class Pair(NamedTuple):
    """Masks of one label, as both libraries take them."""

    predicted: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    spacing: tuple[float, ...]


def main() -> None:
    """Run what was asked for."""
    given = _parser().parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if given.what == "memory":
        _memory(Path(given.folders[0]), given.cases)
        return
    if given.what == "ct":
        pairs = _ct(tuple(given.shape))
    else:
        pairs = _masks(*map(Path, given.folders), given.cases)
    pairs = [Pair(np.roll(pair[0], given.moved, 0), *pair[1:]) for pair in pairs]
    _compare(pairs, given.rounds)


def _compare(pairs: list[Pair], rounds: int) -> None:
    print(
        f"{len(pairs)} pairs of masks, the largest of {max(p.reference.size for p in pairs)} voxels"
    )
    print("| what | MONAI | segkit | ratio |\n| --- | --- | --- | --- |")
    for what, theirs, ours in (
        ("HD95 and surface Dice", _monai_surfaces, _segkit_surfaces),
        ("all nine metrics", monai_all, _segkit_all),
    ):
        seconds: list[tuple[float, float]] = []
        for _ in range(rounds):
            monai, segkit = _seconds(theirs, pairs), _seconds(ours, pairs)
            np.testing.assert_allclose(segkit[1], monai[1], rtol=1e-4, atol=1e-6)
            seconds.append((monai[0], segkit[0]))
        monai_time, segkit_time = (median(column) for column in zip(*seconds, strict=True))
        ratio = median(first / second for first, second in seconds)
        print(f"| {what} | {monai_time:.2f} s | {segkit_time:.2f} s | {ratio:.1f} |", flush=True)


def _seconds(measure: Callable[[Pair], Values], pairs: list[Pair]) -> tuple[float, list[Values]]:
    """Return CPU seconds for all masks, and the values."""
    started = time.process_time()
    values = [measure(pair) for pair in pairs]
    return time.process_time() - started, values


def _monai_surfaces(pair: Pair) -> Values:
    masks = _tensors(pair)
    options = {"include_background": True, "spacing": pair.spacing}
    return [
        float(compute_hausdorff_distance(*masks, percentile=95, **options)),
        float(compute_surface_dice(*masks, class_thresholds=[TOLERANCE], **options)),
    ]


def _segkit_surfaces(pair: Pair) -> Values:
    distances = surface_distances(*pair)
    return [distances.hd95(), distances.within(TOLERANCE)]


def monai_all(pair: Pair) -> Values:
    """Return Dice, IoU, ASSD, sensitivity, precision, volumes, HD95, surface Dice."""
    masks = _tensors(pair)
    # Of boolean masks, MONAI's confusion matrix has no true positives.
    matrix = get_confusion_matrix(*(mask.byte() for mask in masks), include_background=True)
    options = {"include_background": True, "spacing": pair.spacing}
    names = ("sensitivity", "precision")
    difference = float(masks[0].sum() - masks[1].sum())
    return [
        float(compute_dice(*masks, include_background=True)),
        float(compute_iou(*masks, include_background=True)),
        *_monai_surfaces(pair),
        difference * float(np.prod(pair.spacing)) / 1000,
        float(compute_average_surface_distance(*masks, symmetric=True, **options)),
        *(float(compute_confusion_matrix_metric(name, matrix)) for name in names),
        difference / float(masks[1].sum()),
    ]


def _segkit_all(pair: Pair) -> Values:
    return list(measure_masks(*pair, tolerance=TOLERANCE).values())


def _tensors(pair: Pair) -> list[torch.Tensor]:
    return [torch.from_numpy(mask)[None, None] for mask in (pair.predicted, pair.reference)]


# -- masks -----------------------------------------------------------------------------------------


def _masks(predictions: Path, references: Path, cases: int) -> Iterator[Pair]:
    names = sorted(path.name for path in predictions.glob("*.nii.gz"))
    for name in [name for name in names if (references / name).exists()][:cases]:
        predicted, reference = read_labels(predictions / name), read_labels(references / name)
        for value in set(np.unique(reference.array).tolist()) - {0}:
            masks = (volume.array[0] == value for volume in (predicted, reference))
            yield Pair(*masks, reference.spacing)


def _ct(shape: tuple[int, ...]) -> Iterator[Pair]:
    labels = ct_phantom(0, shape, whole=True)[1].array[0]
    predicted = moved(labels)
    spacing = tuple(extent / size for extent, size in zip(EXTENT, shape, strict=True))
    for value in LABELS.values():
        yield Pair(predicted == value, labels == value, spacing)


def moved(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the labels, moved by one voxel along X in half of the blocks."""
    blocks = [-(-size // BLOCK) for size in labels.shape]
    chosen = np.random.default_rng(0).random(blocks) < 0.5
    predicted = labels.copy()
    for x in range(1, labels.shape[0]):
        plane = chosen[x // BLOCK].repeat(BLOCK, 0).repeat(BLOCK, 1)
        plane = plane[: labels.shape[1], : labels.shape[2]]
        predicted[x][plane] = labels[x - 1][plane]
    return predicted


# -- memory ----------------------------------------------------------------------------------------


def _memory(folder: Path, cases: int) -> None:
    shape = (512, 512, 300)
    first = [folder / side / "case0.nii.gz" for side in ("predictions", "references")]
    if not first[0].exists():
        _write_many_labels(folder, shape, cases)
    for name, paths in (
        ("one case", first),
        (f"{cases} cases", [path.parent for path in first]),
    ):
        command = [sys.executable, "-m", "segkit", "evaluate", *map(str, paths)]
        run = run_measured(command, resident_memory)
        print(f"{name}: {run.peaks[0] / 2**20:.0f} MiB, {run.cpu:.0f} s of CPU", flush=True)


def _write_many_labels(folder: Path, shape: tuple[int, ...], cases: int) -> None:
    """Write label maps in which every label of the phantom is cut into eight by a checkerboard."""
    labels = ct_phantom(0, shape, whole=True)[1]
    array = labels.array[0]
    x, y, z = (np.arange(size) // 64 % 2 for size in shape)
    part = (4 * x[:, None, None] + 2 * y[:, None] + z).astype(np.uint8)
    array[array > 0] = (8 * (array[array > 0] - 1) + part[array > 0] + 1).astype(np.uint8)
    predicted = labels.with_array(moved(array)[None])
    for number in range(cases):
        write_labels(
            folder / "references" / f"case{number}.nii.gz", Volume(array[None], labels.affine)
        )
        write_labels(folder / "predictions" / f"case{number}.nii.gz", predicted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("masks", "ct", "memory"))
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--moved", type=int, default=0, metavar="VOXELS")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    return parser


if __name__ == "__main__":
    main()
