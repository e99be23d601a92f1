"""Outputs of the study from the results of its cells: summary.json, figures, report.html."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.intervals import Interval
from segkit.files.atomic import write_text
from segkit.report.tables import Cell
from segkit.report.tickets_page import Table, tickets_page
from segkit.studies.cells import CellResult
from segkit.studies.failed_cells import failed_table
from segkit.studies.tickets.cell import ACTIVATIONS, DENSITY
from segkit.studies.tickets.curves import Comparison, Curves, read_curves
from segkit.studies.tickets.figures import write_figures
from segkit.studies.tickets.levels import KINDS
from segkit.studies.tickets.settings import TicketSettings
from segkit.studies.tickets.verdict import Answer, answers, percent
from segkit.training.setup import Setup

SUMMARY, PAGE = "summary.json", "report.html"
FORMAT_VERSION = 1


def write_outputs(
    study: Setup, settings: TicketSettings, results: Sequence[CellResult], trainings: int
) -> None:
    """Write summary, figures and page of the results.

    Args:
        study: the study.
        settings: its settings.
        results: results of the trainings that were run so far.
        trainings: number of all trainings of the study.
    """
    folder = study.run_dir
    curves = read_curves([row for result in results for row in result.rows()])
    activations = [row for result in results for row in result.rows(ACTIVATIONS)]
    found = answers(curves, settings.norms, settings.chosen_controls, activations)
    done = sum(result.status == "done" for result in results)
    facts = f"{done} of {trainings} trainings are finished. {facts_of(study, settings, curves)}"
    write_text(folder / SUMMARY, summary_text(settings, facts, found, curves, results))
    pictures = write_figures(
        folder,
        curves,
        settings.norms,
        activations=activations,
        density=[row for result in results for row in result.rows(DENSITY)],
    )
    page = tickets_page(
        study.dataset.name,
        facts,
        answers=[(answer.question, answer.sentences) for answer in found],
        figures={name: path.read_bytes() for name, path in pictures.items()},
        dice=dice_table(curves),
        failed=failed_table(results, "training"),
    )
    write_text(folder / PAGE, page)


def facts_of(study: Setup, settings: TicketSettings, curves: Curves) -> str:
    """Return sentences on the trainings and on the cases that were measured."""
    cases = {case for values in curves.values.values() for case, _ in values}
    lowest = f", down to {percent(min(curves.remaining.values()))}" if curves.remaining else ""
    return (
        f"Norms: {', '.join(settings.norms)}; seeds: {', '.join(map(str, settings.seeds))}; "
        f"{_count(settings.levels, 'level')} of {percent(settings.fraction)} of the remaining "
        f"weights{lowest}. Dice is the mean over labels on {_count(len(cases), 'case')} of fold "
        f"{study.config.fold}, which no training saw."
    )


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def summary_text(
    settings: TicketSettings,
    facts: str,
    found: Sequence[Answer],
    curves: Curves,
    results: Sequence[CellResult],
) -> str:
    """Return the content of summary.json."""
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "settings": dataclasses.asdict(settings),
        "facts": facts,
        "verdict": [sentence for answer in found for sentence in answer.sentences],
        "answers": [
            {
                "question": answer.question,
                "sentences": list(answer.sentences),
                "comparisons": [_comparison(each) for each in answer.comparisons],
            }
            for answer in found
        ],
        "dice": [
            {**arm._asdict(), "remaining": curves.remaining[arm.level], **_interval(interval)}
            for arm in sorted(curves.values)
            if (interval := curves.interval(arm))
        ],
        "failed": {
            result.cell.name: result.message for result in results if result.status != "done"
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def dice_table(curves: Curves) -> Table:
    """Return header and rows of the Dice of every arm, by norm, measure and level."""
    rows: list[list[Cell]] = []
    for arm in sorted(curves.values, key=lambda arm: (arm.norm, arm.measure, arm.level)):
        interval = curves.interval(arm)
        if interval:
            name = KINDS[arm.kind] if arm.measure == "dice" else MEASURES[arm.measure]
            share = percent(curves.remaining[arm.level])
            values = (interval.mean, *(interval.ends or (None, None)))
            rows.append([arm.norm, name if arm.level else "dense", share, *values])
    return ["norm", "network", "weights left", "Dice", "low", "high"], rows


MEASURES: Mapping[str, str] = {
    "dice_pruned": "one level pruned, not trained again",
    "dice_pruned_recalibrated": "one level pruned, new statistics",
    "dice_pruned_at_random": "one level pruned at random, not trained again",
    "dice_one_shot": "dense, pruned at once",
    "dice_one_shot_recalibrated": "dense, pruned at once, new statistics",
}
"""Name of each measure that is taken without training again."""


def _comparison(comparison: Comparison) -> dict[str, Any]:
    fields = {
        "norm": comparison.norm,
        "level": comparison.level,
        "remaining": comparison.remaining,
        "a": comparison.a,
        "b": comparison.b,
    }
    return {**fields, **_interval(comparison.difference)}


def _interval(interval: Interval) -> dict[str, Any]:
    values = dataclasses.asdict(interval)
    confidence = values.pop("level")  # "level" is that of pruning
    return {**values, "confidence": confidence}
