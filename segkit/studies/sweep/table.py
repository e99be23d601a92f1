"""Results of a sweep: a row of sweep.csv per run, and a table with mean and spread over repeats."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from segkit.bundle.archive import read_object
from segkit.files.names import CARD
from segkit.report.tables import Cell, cell_text, csv_text
from segkit.training.outputs.run_folder import BUNDLE

REPEATS = {"seed": "seeds", "fold": "folds"}
"""Keys whose values repeat a training instead of changing it, with the plural of their values."""
MORE_COLUMNS = ("dice_sd_over_cases", "steps", "minutes", "precision", "layout")
SD_OVER_CASES = "sd over cases"


@dataclass(frozen=True)
class Figures:
    """Figures of a run, from its bundle."""

    dice: float | None
    """Mean Dice of the last validation; None if nothing was validated."""
    labels: dict[str, float]
    """Dice of each label that some validation case has."""
    steps: int
    minutes: float
    precision: str = ""
    layout: str = ""
    sd_over_cases: float | None = None
    """Standard deviation of the cases' mean Dice; None in runs of older versions."""


@dataclass(frozen=True)
class Result:
    """Result of one run of a sweep: its folder and figures, or a message why there are none."""

    values: Mapping[str, str]
    """Values of the swept keys."""
    run_dir: str | None
    figures: Figures | None
    message: str = ""


def figures_of(run_dir: Path) -> Figures:
    """Return the figures from the card of the run's bundle.

    Raises:
        InputError: the run has no bundle.
    """
    card = read_object(run_dir / BUNDLE, CARD)
    metrics, training = card.get("metrics", {}), card["training"]
    return Figures(
        metrics.get("mean_dice"),
        metrics.get("dice", {}),
        training["steps"],
        training["minutes"],
        training.get("precision", ""),
        training.get("layout", ""),
        metrics.get("sd_over_cases"),
    )


def has_finished_runs(table: Path) -> bool:
    """Return whether a sweep.csv names a training that is done."""
    if not table.is_file():
        return False
    with table.open(encoding="utf-8", newline="") as file:
        return any(row.get("status") == "done" for row in csv.DictReader(file))


def sweep_csv(results: Sequence[Result]) -> str:
    """Return the text of sweep.csv.

    Columns are the swept keys, status, mean Dice and Dice per label, further figures, folder and
    message.
    """
    all_figures = [result.figures for result in results if result.figures]
    labels = list(dict.fromkeys(name for figures in all_figures for name in figures.labels))
    keys = list(results[0].values)
    dice = [f"dice_{name}" for name in labels]
    rows: list[list[Cell]] = []
    for result in results:
        status = "done" if result.figures else "failed"
        cells = _figure_cells(result.figures, labels)
        rows.append([*result.values.values(), status, *cells, result.run_dir or "", result.message])
    return csv_text([*keys, "status", "dice", *dice, *MORE_COLUMNS, "run", "message"], rows)


def _figure_cells(figures: Figures | None, labels: Sequence[str]) -> list[Cell]:
    """Return the cells from mean Dice to memory format; None is an empty cell."""
    if figures is None:
        return [None for _ in ("dice", *labels, *MORE_COLUMNS)]
    more: list[Cell] = [
        figures.sd_over_cases,
        figures.steps,
        figures.minutes,
        figures.precision,
        figures.layout,
    ]
    return [figures.dice, *(figures.labels.get(name) for name in labels), *more]


def table_rows(results: Sequence[Result]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows of the table of a sweep.

    Runs that differ only in seed or fold share a row, with the mean and the sample standard
    deviation of Dice.
    """
    keys = list(results[0].values)
    settings = [key for key in keys if key not in REPEATS]
    if len(settings) == len(keys):
        header = [*keys, "dice", SD_OVER_CASES, "steps", "minutes", "run"]
        return header, [[*result.values.values(), *_single(result)] for result in results]
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(result.values[key] for key in settings), []).append(result)
    header = [
        *settings,
        "runs",
        "failed",
        f"dice +- sd over {repeats(keys)}",
        "lowest",
        "highest",
        SD_OVER_CASES,
        "minutes",
    ]
    return header, [[*setting, *_repeated(group)] for setting, group in groups.items()]


def _single(result: Result) -> list[Cell]:
    if result.figures is None:
        return [None, None, None, None, "failed"]
    return [
        result.figures.dice,
        result.figures.sd_over_cases,
        result.figures.steps,
        result.figures.minutes,
        result.run_dir,
    ]


def _repeated(group: Sequence[Result]) -> list[Cell]:
    done = [result.figures for result in group if result.figures]
    dice = [figures.dice for figures in done if figures.dice is not None]
    minutes = mean(figures.minutes for figures in done) if done else None
    extremes: list[Cell] = [min(dice), max(dice)] if dice else [None, None]
    return [
        len(group),
        len(group) - len(done),
        mean_and_sd(dice),
        *extremes,
        _sd_within_runs(done),
        minutes,
    ]


def _sd_within_runs(done: Sequence[Figures]) -> float | None:
    """Return the spread of cases within a run: root mean square over the runs."""
    spreads = [figures.sd_over_cases for figures in done if figures.sd_over_cases is not None]
    return sqrt(mean(spread**2 for spread in spreads)) if spreads else None


def repeats(keys: Sequence[str]) -> str:
    """Return the kinds of repeats among the swept keys in words.

    >>> repeats(["network.norm", "seed", "fold"])
    'seeds and folds'
    """
    return " and ".join(REPEATS[key] for key in keys if key in REPEATS)


def in_common(results: Sequence[Result]) -> str:
    """Return a sentence on precision, memory format and steps; empty if no run is done."""
    done = [result.figures for result in results if result.figures]
    modes = sorted({f"{figures.precision} {figures.layout}" for figures in done})
    steps = sorted({figures.steps for figures in done})
    if not done:
        return ""
    if len(modes) == len(steps) == 1:
        return f"All runs: {done[0].precision}, {done[0].layout} memory format, {steps[0]} steps."
    return f"The runs differ in {' and '.join(modes)}, and have {', '.join(map(str, steps))} steps."


def mean_and_sd(values: Sequence[float]) -> str:
    """Return mean and sample standard deviation as text.

    >>> mean_and_sd([0.9, 0.8]), mean_and_sd([0.9]), mean_and_sd([])
    ('0.8500 +- 0.0707', '0.9000', '-')
    """
    if not values:
        return cell_text(None)
    text = cell_text(mean(values))
    return f"{text} +- {cell_text(stdev(values))}" if len(values) > 1 else text
