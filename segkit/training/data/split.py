"""The file split.json, which records the training and validation cases of a run."""

from __future__ import annotations

import json
from pathlib import Path

from segkit.dataset.split import Split
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json

SPLIT = "split.json"


def split_ids(split: Split) -> dict[str, list[str]]:
    """Return the ids of the training and of the validation cases."""
    return {
        "training": [case.id for case in split.training],
        "validation": [case.id for case in split.validation],
    }


def check_split(folder: Path, split: Split) -> None:
    """Check that a resumed run keeps its cases: otherwise it would validate on training cases.

    Raises:
        InputError: the cases differ from those in split.json of the run's ``folder``.
    """
    path = folder / SPLIT
    expected = "the cases with which this run began"
    remedy = "Put the file back, or start another run with another run_dir."
    if read_json(path, expected=expected, remedy=remedy) != split_ids(split):
        raise InputError(
            path,
            expected=expected,
            found="other cases: the dataset has changed, or this is another dataset",
            remedy="Give the dataset as it was, or start another run with another run_dir.",
        )


def write_split(folder: Path, split: Split) -> None:
    """Write the ids of the cases to split.json in ``folder``."""
    write_text(folder / SPLIT, json.dumps(split_ids(split), indent=2) + "\n")
