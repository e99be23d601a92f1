"""The file split.json, which records the training and validation cases of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segkit.dataset.split import Split
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json
from segkit.plans.plan import Plan
from segkit.preprocessing.harmonization import is_harmonized_by_table

SPLIT = "split.json"
AS_IT_WAS = (
    "Give the dataset and its groups as they were, or start another run with another run_dir."
)
"""Remedy for cases that have changed since the run began."""


def split_ids(split: Split) -> dict[str, list[str]]:
    """Return the ids of the training and of the validation cases."""
    return {
        "training": [case.id for case in split.training],
        "validation": [case.id for case in split.validation],
    }


def _content(split: Split, plan: Plan) -> dict[str, Any]:
    """Return the content of split.json: the ids, and the groups if the plan harmonizes by them."""
    if not is_harmonized_by_table(plan):
        return {**split_ids(split)}
    groups = {case.id: case.group for case in (*split.training, *split.validation)}
    return {**split_ids(split), "groups": groups}


def check_split(folder: Path, split: Split, plan: Plan) -> None:
    """Check that a resumed run keeps its cases: otherwise it would validate on training cases.

    Their groups must stay as well if the plan harmonizes by them: otherwise some steps of the
    training would have been taken on scans that were harmonized in another way.

    Raises:
        InputError: cases or groups differ from those in split.json of the run's ``folder``.
    """
    path = folder / SPLIT
    expected = "the cases with which this run began"
    remedy = "Put the file back, or start another run with another run_dir."
    stored, now = read_json(path, expected=expected, remedy=remedy), _content(split, plan)
    if stored == now:
        return
    found = "other cases: the dataset has changed, or this is another dataset"
    if {**stored, "groups": None} == {**now, "groups": None}:
        found = "other groups of these cases: the table of dataset.groups has changed"
        expected += ", and their groups"
    raise InputError(path, expected=expected, found=found, remedy=AS_IT_WAS)


def write_split(folder: Path, split: Split, plan: Plan) -> None:
    """Write the ids of the cases, and groups that matter, to split.json in ``folder``."""
    write_text(folder / SPLIT, json.dumps(_content(split, plan), indent=2) + "\n")
