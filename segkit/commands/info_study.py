"""The folder of a study as segkit info shows it: a cross-validation, a sweep, or cells."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.report.tables import Cell, text_table

CROSS_VALIDATION, SWEEP = "cross_validation", "sweep"
FOLDS, RESULT, TABLE, FINISHED, STARTED = (
    "folds.json",
    "cross_validation.json",
    "sweep.csv",
    "finished.json",
    "config.yaml",
)
STUDY, CELLS, SUMMARY = "study.json", "cells", "summary.json"
"""Names of the files of a study and of its runs."""
HIDDEN = ("message", "precision", "layout")
"""Columns of sweep.csv that the text does not show."""


def study_facts(folder: Path) -> dict[str, Any] | None:
    """Return state and results of the study in ``folder``, in JSON types; None for another folder.

    Raises:
        InputError: a study whose files are damaged.
    """
    try:
        if (folder / FOLDS).is_file():
            return _cross_validation(folder)
        if (folder / TABLE).is_file():
            return _sweep(folder)
        if (folder / STUDY).is_file() and (folder / CELLS).is_dir():
            return _cells(folder)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            folder,
            expected="the files of a study as segkit wrote them",
            found=f"{type(error).__name__}: {error}",
            remedy="Repeat the command that started the study: it writes them again.",
        ) from error
    return None


def _cross_validation(folder: Path) -> dict[str, Any]:
    folds = [
        {"fold": number, "state": _state(folder / f"fold_{number}"), "cases": len(cases)}
        for number, cases in enumerate(json.loads((folder / FOLDS).read_text(encoding="utf-8")))
    ]
    facts = {"kind": CROSS_VALIDATION, "path": str(folder), "state": _state(folder), "folds": folds}
    if not (folder / RESULT).is_file():
        return facts
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    dice = {
        name: _spread(values)
        for name, values in [*result["labels"].items(), ("mean", result["mean"])]
    }
    return {**facts, "cases": result["cases"], "dice": dice}


def _spread(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mean": values["mean"],
        "sd_over_folds": values["sd"],
        "sd_over_cases": values.get("sd_over_cases"),
    }


def _sweep(folder: Path) -> dict[str, Any]:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        runs = [dict(row) for row in csv.DictReader(file)]
    done = sum(run["status"] == "done" for run in runs)
    return {
        "kind": SWEEP,
        "path": str(folder),
        "done": done,
        "failed": len(runs) - done,
        "runs": runs,
    }


def _cells(folder: Path) -> dict[str, Any]:
    """Return the facts of a study of cells, such as that of normalization."""
    study = json.loads((folder / STUDY).read_text(encoding="utf-8"))
    root = folder / CELLS
    cells = [
        {
            "cell": path.relative_to(root).with_suffix("").as_posix(),
            **{key: stored[key] for key in ("status", "message")},
        }
        for path in sorted(root.rglob("*.json"))
        if not path.name.endswith(".started.json")
        and (stored := json.loads(path.read_text(encoding="utf-8")))
    ]
    facts = {
        "kind": study["kind"],
        "path": str(folder),
        "state": _state(folder),
        "settings": study["settings"],
        "cells": cells,
    }
    if (folder / SUMMARY).is_file():
        facts["verdict"] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["verdict"]
    return facts


def _state(run: Path) -> str:
    if (run / FINISHED).is_file():
        return "finished"
    return "unfinished" if (run / STARTED).is_file() else "not begun"


def study_text(facts: Mapping[str, Any]) -> str:
    """Return the facts as text and tables."""
    title = f"{facts['kind'].replace('_', '-')} in {facts['path']}"
    if facts["kind"] == SWEEP:
        counts = f"{facts['done']} trainings done, {facts['failed']} failed"
        return f"{title}: {counts}\n{_sweep_table(facts)}"
    if "cells" in facts:
        cells = text_table(
            ["cell", "status", "message"], [list(cell.values()) for cell in facts["cells"]]
        )
        lines = [f"{title}: {facts['state']}", *facts["settings"], "", cells]
        return "\n".join([*lines, "", *facts.get("verdict", [])]).rstrip()
    folds = text_table(
        ["fold", "state", "cases held out"], [list(fold.values()) for fold in facts["folds"]]
    )
    lines = [f"{title}: {facts['state']}", folds]
    if "dice" in facts:
        rows = [[name, *values.values()] for name, values in facts["dice"].items()]
        table = text_table(["label", "mean", "sd over folds", "sd over cases"], rows)
        lines += [
            "",
            f"Dice of {facts['cases']} cases, each predicted by the model that did not see it:",
            table,
        ]
    return "\n".join(lines)


def _sweep_table(facts: Mapping[str, Any]) -> str:
    runs = facts["runs"]
    columns = [name for name in runs[0] if name not in HIDDEN] if runs else []
    return text_table(columns, [[_cell(name, run[name]) for name in columns] for run in runs])


def _cell(name: str, value: str) -> Cell:
    if not value:
        return None
    return float(value) if name.startswith("dice") else value
