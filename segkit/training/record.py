"""What a run writes down as it goes: training.csv, progress.png and the line that a user watches."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from segkit.files import write_text
from segkit.report.progress import write_progress_picture

COLUMNS = ("step", "minutes", "loss", "learning_rate", "seconds_per_step", "data_share", "dice")
Row = dict[str, float | str]


@dataclass
class Record:
    """Rows of training.csv: one for every stretch of steps, with Dice where it was measured at its end."""

    folder: Path
    labels: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    @staticmethod
    def resume(folder: Path, labels: tuple[str, ...], step: int) -> Record:
        """The rows of an earlier part of the run, up to the checkpoint's ``step``."""
        record = Record(folder, labels)
        path = folder / "training.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                record.rows = [dict(row) for row in csv.DictReader(file) if int(row["step"]) <= step]
        return record

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def write(self) -> None:
        """training.csv and progress.png."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [*COLUMNS, *(f"dice_{name}" for name in self.labels)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "training.csv", text.getvalue())
        write_progress_picture(self.folder / "progress.png", self.rows, self.labels)


class ProgressLine:
    """One line on standard error with the time left: rewritten on a terminal, now and then elsewhere."""

    SECONDS_ON_TERMINAL = 0.5
    SECONDS_ELSEWHERE = 30.0

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.shown = -math.inf

    def due(self, *, last: bool = False) -> bool:
        """Whether it is time to show something; the last line always is."""
        return last or time.monotonic() - self.shown >= (
            self.SECONDS_ON_TERMINAL if self.terminal else self.SECONDS_ELSEWHERE
        )

    def write(self, text: str, *, last: bool = False) -> None:
        """Show ``text``; nothing is written over the ``last``."""
        self.shown = time.monotonic()
        end = "\n" if last or not self.terminal else ""
        start = "\r\x1b[K" if self.terminal else ""
        sys.stderr.write(f"{start}{text}{end}")
        sys.stderr.flush()
