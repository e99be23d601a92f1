"""How fast a training learned: loss and Dice after fractions of its samples, from training.csv."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segkit.errors import InputError
from segkit.studies.normalization.measurement import Measurement

TRAINING = "training.csv"
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Fractions of the samples after which the loss is reported."""

Row = Mapping[str, str]


def convergence_measurements(
    run_dir: Path, labels: Sequence[str], samples_per_step: int
) -> Iterator[Measurement]:
    """Yield the loss at FRACTIONS, the Dice of every validation, and the time of a step.

    Arms of a study that are matched in samples are compared at equal numbers of samples.

    Args:
        run_dir: the run folder.
        labels: names of the labels.
        samples_per_step: number of patches of a training step.

    Raises:
        InputError: a training.csv that cannot be read, or without rows.
    """
    rows = _read(run_dir / TRAINING)
    for step, loss in losses_at(rows, FRACTIONS).items():
        yield Measurement("loss", loss, samples=step * samples_per_step)
    for row in rows:
        samples = int(row["step"]) * samples_per_step
        for label in ("", *labels):
            dice = row.get(f"dice_{label}" if label else "dice")
            if dice:
                yield Measurement("dice_during_training", float(dice), label=label, samples=samples)
    seconds = [float(row["seconds_per_step"]) for row in rows]
    yield Measurement("seconds_per_step", statistics.median(seconds))


def losses_at(rows: Sequence[Row], fractions: Sequence[float]) -> dict[int, float]:
    """Return the loss by step, of the last row at or before each fraction of the steps.

    A fraction before the first row has none.

    >>> rows = [{"step": "1", "loss": "0.9"}, {"step": "5", "loss": "0.5"},
    ...         {"step": "10", "loss": "0.3"}]
    >>> losses_at(rows, (0.05, 0.1, 0.5, 1.0))
    {1: 0.9, 5: 0.5, 10: 0.3}
    """
    last = int(rows[-1]["step"])
    losses = {}
    for fraction in fractions:
        reached = [row for row in rows if int(row["step"]) <= math.floor(fraction * last + 1e-9)]
        if reached:
            losses[int(reached[-1]["step"])] = float(reached[-1]["loss"])
    return losses


def _read(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
        for row in rows:
            int(row["step"]), float(row["loss"]), float(row["seconds_per_step"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not rows:
        raise _unreadable(path, "no rows")
    return rows


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="the rows of a finished training",
        found=found,
        remedy="Put the file back, or train again in another run_dir.",
    )
