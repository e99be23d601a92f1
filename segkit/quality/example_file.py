"""expected_dice.csv of a run: the features and the true Dice that the expected Dice is fitted to.

A cross-validation reads those of all folds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.quality.features import NAMES, Features
from segkit.quality.fitting import Example

EXAMPLES = "expected_dice.csv"
COLUMNS = ("case", "degradation", "label", *NAMES, "dice")


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Write expected_dice.csv into ``folder``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in examples:
        numbers = [f"{value:.6g}" for value in (*one.features.values, one.dice)]
        writer.writerow([one.case, one.degradation, one.label, *numbers])
    write_text(folder / EXAMPLES, text.getvalue())


def read_examples(folder: Path) -> list[Example]:
    """Return the examples of a run; none if it has measured none.

    Raises:
        InputError: a file that is not one of segkit.
    """
    path = folder / EXAMPLES
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_example(row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            path,
            expected=f"the columns {', '.join(COLUMNS)} with numbers",
            found=str(error),
            remedy="Remove the file: the bundle of the study then has no expected Dice.",
        ) from error


def _example(row: dict[str, str]) -> Example:
    features = Features(*(float(row[name]) for name in NAMES))
    return Example(row["case"], row["degradation"], row["label"], features, float(row["dice"]))
