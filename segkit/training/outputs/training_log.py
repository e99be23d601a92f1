"""The log of a training: training.csv and progress.png."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.labels.codes import colors_of
from segkit.labels.colors import Color
from segkit.plans.plan import Plan
from segkit.report.progress import write_progress_picture
from segkit.report.tables import csv_text
from segkit.training.validation import ValidationScore

COLUMNS = ("step", "minutes", "loss", "learning_rate", "seconds_per_step", "data_share", "dice")
Row = dict[str, float | str]


def score_columns(score: ValidationScore) -> Row:
    """Return the columns of a validation: cases, mean Dice, Dice of each label, and intervals.

    An interval is half the width of a 95 % confidence interval. A score without any label has no
    columns.
    """
    if score.mean is None:
        return {}
    widths = {f"ci95_dice_{name}": width for name, width in score.half_widths().items()}
    if score.mean_half_width is not None:
        widths["ci95_dice"] = score.mean_half_width
    dice = {"dice": score.mean, **{f"dice_{name}": value for name, value in score.labels.items()}}
    return {
        "cases": score.cases,
        **{name: round(value, 5) for name, value in {**dice, **widths}.items()},
    }


@dataclass
class TrainingLog:
    """Rows of training.csv: one per interval of steps, with Dice where it was measured."""

    folder: Path
    labels: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    colors: Mapping[str, Color] = field(default_factory=dict)
    """Colors of labels for which the plan has one; the others get the color of their position."""

    @staticmethod
    def empty(folder: Path, plan: Plan) -> TrainingLog:
        """Return a log without rows, with the plan's labels and their colors."""
        return TrainingLog(folder, tuple(plan.labels), colors=colors_of(plan.labels, plan.segments))

    @staticmethod
    def resume(folder: Path, plan: Plan, step: int) -> TrainingLog:
        """Return the log of an earlier process of the run, up to the checkpoint's ``step``.

        Raises:
            InputError: a table that cannot be read.
        """
        log = TrainingLog.empty(folder, plan)
        path = folder / "training.csv"
        if path.is_file():
            try:
                log.rows = _read_rows(path, step)
            except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
                raise InputError(
                    path,
                    expected="the rows of this training so far",
                    found=f"a table that cannot be read ({error})",
                    remedy="Put it back, or move it away: the training then continues without "
                    "those rows.",
                ) from error
        return log

    def write(self) -> None:
        """Write training.csv and progress.png."""
        dice = [f"dice_{name}" for name in self.labels]
        columns = [*COLUMNS, *dice, "cases", "ci95_dice", *(f"ci95_{name}" for name in dice)]
        rows = ([row.get(name) for name in columns] for row in self.rows)
        write_text(self.folder / "training.csv", csv_text(columns, rows))
        write_progress_picture(
            self.folder / "progress.png", self.rows, self.labels, colors=self.colors
        )


def _read_rows(path: Path, last_step: int) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [dict(row) for row in csv.DictReader(file) if int(row["step"]) <= last_step]
