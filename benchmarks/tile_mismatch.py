"""Compare label maps of the validation cases of a run for different overlaps and weights of
windows.

    python benchmarks/tile_mismatch.py RUN [--precision float32] [--threads 2]

RUN is a finished training whose dataset has not moved. Print a table in Markdown with means over
the cases: number of windows; CPU seconds of the whole prediction; share of voxels whose label
differs from that without overlap, and the same among voxels that have a label in either map;
`tile_mismatch` of `--stats`, which needs no second prediction; and Dice. `--fast` is Gaussian
weights at an overlap of 0.25. segkit always uses Gaussian weights; this script replaces them by
constant ones.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

import segkit.sliding_window.scores
from segkit.bundle.bundle import read_bundle
from segkit.config.run_file import read_config
from segkit.dataset.dataset import Case
from segkit.dataset.split import split_cases
from segkit.inference.predictor import Predictor
from segkit.io import read_case
from segkit.io.labels import read_labels
from segkit.planning.plan_dataset import open_dataset
from segkit.sliding_window.windows import gaussian_weights

OVERLAPS = (0.0, 0.25, 0.5, 0.75)
WEIGHTS = {"constant": lambda edges: torch.ones(*edges), "Gaussian": gaussian_weights}
HEADINGS = (
    "weights",
    "overlap",
    "windows",
    "CPU s",
    "other labels",
    "of labelled voxels",
    "--stats",
    "mean Dice",
)


def main() -> None:
    """Predict and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = read_config(arguments.run / "config.yaml")
    cases = split_cases(open_dataset(config), config.fold).validation
    print(f"| {' | '.join(HEADINGS)} |\n{'| --- ' * len(HEADINGS)}|", flush=True)
    for name, weights in WEIGHTS.items():
        segkit.sliding_window.scores.gaussian_weights = weights
        alone: dict[str, NDArray[np.integer]] = {}
        for overlap in OVERLAPS:
            rows = [_row(arguments, case, overlap, alone) for case in cases]
            windows, seconds, *shares = (mean(column) for column in zip(*rows, strict=True))
            numbers = " | ".join(f"{share:.4f}" for share in shares)
            print(f"| {name} | {overlap} | {windows:.0f} | {seconds:.1f} | {numbers} |", flush=True)


def _row(
    arguments: argparse.Namespace, case: Case, overlap: float, alone: dict[str, NDArray[np.integer]]
) -> tuple[float, ...]:
    """Return the figures of one case; its first result, without overlap, is kept in ``alone``."""
    bundle = read_bundle(arguments.run)
    predictor = Predictor(
        bundle, precision=arguments.precision, overlap=overlap, count_mismatch=True
    )
    done: list[int] = []
    scan, start = read_case(case.images), time.process_time()
    prediction = predictor.prediction(scan, progress=lambda _, total: done.append(total))
    labels = prediction.labels.array[0]
    seconds = time.process_time() - start
    first = alone.setdefault(case.id, labels)
    differ, labelled = first != labels, (first != 0) | (labels != 0)
    stats = prediction.tile_mismatch or 0.0
    dice = mean(_dice(labels, read_labels(case.label).array[0], bundle.plan.labels.values()))
    return (
        done[-1],
        seconds,
        float(differ.mean()),
        float(differ.sum() / max(1, labelled.sum())),
        stats,
        dice,
    )


def _dice(ours: NDArray[np.integer], theirs: NDArray[np.integer], values) -> list[float]:
    pairs = [(ours == value, theirs == value) for value in values]
    return [
        2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in pairs if a.any() or b.any()
    ]


if __name__ == "__main__":
    main()
