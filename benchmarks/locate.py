"""Predict the validation cases of a run as a whole, and in the box that a coarse model finds.

    python benchmarks/locate.py RUN COARSE [--scan FILE] [--rounds 1] [--threads 1] [--precision
    float32]

RUN and COARSE are finished trainings on the same cases, whose dataset has not moved; COARSE was
trained with larger voxels (`plan.spacing=[4,4,4]`). Both ways take turns in one process. Print a
table in Markdown with, for each case, the share of the scan's voxels in the box; the number of
windows; CPU and wall seconds from the scan in memory to its label map, medians of the rounds; the
mean Dice over labels; and the labeled voxels of the reference outside the box. The last row is the
Dice of the coarse model alone. With --scan that scan is predicted instead, and the prediction of
the whole scan serves as the reference.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.bundle.bundle import read_bundle
from segkit.config.run_file import read_config
from segkit.dataset.dataset import Case
from segkit.dataset.split import split_cases
from segkit.evaluation.overlap import dice
from segkit.inference import Predictor
from segkit.io import read_case
from segkit.io.labels import read_labels
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.volume import Box, Volume

HEADINGS = (
    "case",
    "",
    "box",
    "windows",
    "CPU s",
    "of whole",
    "clock s",
    "of it locating",
    "Dice",
    "lost voxels",
)


@dataclass
class Turn:
    """Prediction with the time that it took."""

    labels: NDArray[np.integer]
    windows: int
    cpu: float
    clock: float
    locating: float
    box: Box | None


def main() -> None:
    """Predict and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("coarse", type=Path)
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"| {' | '.join(HEADINGS)} |\n{'| --- ' * len(HEADINGS)}|", flush=True)
    for case in _cases(arguments):
        _measure(arguments, case)


def _cases(arguments: argparse.Namespace) -> list[Case]:
    if arguments.scan:
        return [Case(arguments.scan.name, (arguments.scan,))]
    config = read_config(arguments.run / "config.yaml")
    return list(split_cases(open_dataset(config), config.fold).validation)


def _measure(arguments: argparse.Namespace, case: Case) -> None:
    """Print the lines of one case."""
    run, coarse = read_bundle(arguments.run), read_bundle(arguments.coarse)
    whole = Predictor(run, precision=arguments.precision)
    located = Predictor(run, precision=arguments.precision, locate=coarse)
    scan = read_case(case.images)
    rounds = [(_turn(whole, scan), _turn(located, scan)) for _ in range(arguments.rounds)]
    reference = (
        read_labels(case.label) if case.label else scan.with_array(rounds[0][0].labels[None])
    )
    inside = np.zeros(scan.grid.shape, bool)
    inside[rounds[0][1].box or ...] = True
    lost = int(np.isin(reference.array[0][~inside], _values(run.plan)).sum())
    base = median(turn.cpu for turn, _ in rounds)
    for name, turns, share, missed in (
        ("whole", [turn for turn, _ in rounds], 1.0, 0),
        ("located", [turn for _, turn in rounds], float(inside.mean()), lost),
    ):
        cpu, clock, locating = (
            median(getattr(turn, what) for turn in turns) for what in ("cpu", "clock", "locating")
        )
        score = _dice(turns[0].labels, reference, run.plan.labels)
        cells = [
            f"{share:.3f}",
            turns[0].windows,
            f"{cpu:.1f}",
            f"{cpu / base:.2f}",
            f"{clock:.1f}",
        ]
        print(
            f"| {case.id} | {name} | {' | '.join(map(str, cells))} | {locating:.1f} | {score:.4f} |"
            f" {missed} |"
        )
    alone = Predictor(coarse, precision=arguments.precision, fast=True).predict(scan).array[0]
    print(
        (
            f"| {case.id} | coarse alone | | | | | | |"
            f" {_dice(alone, reference, coarse.plan.labels):.4f} | |"
        ),
        flush=True,
    )


def _values(plan: Plan) -> list[int]:
    """Return the values of the plan's labels, or regions, in label files."""
    return list(plan.targets.values())


def _turn(predictor: Predictor, scan: Volume) -> Turn:
    totals: list[int] = []
    cpu, clock = time.process_time(), time.perf_counter()
    prediction = predictor.prediction(scan, progress=lambda _, total: totals.append(total))
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    locating = prediction.seconds.get("locate", 0.0)
    return Turn(prediction.labels.array[0], totals[-1], cpu, clock, locating, prediction.box)


def _dice(labels: NDArray[np.integer], reference: Volume, names: dict[str, int]) -> float:
    found = [dice(labels == value, reference.array[0] == value) for value in names.values()]
    return float(np.nanmean(found))


if __name__ == "__main__":
    main()
