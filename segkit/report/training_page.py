"""Page report.html of a training: curve, Dice, pictures of cases, time and plan.

Nothing is computed here.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segkit.planning.plan_table import decided_rows, stage_rows
from segkit.plans.plan import Plan
from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, html_table

Table = tuple[list[str], list[list[Cell]]]
"""Header and rows."""

LOWEST = 4
"""Largest number of labels that a caption names."""


@dataclass(frozen=True)
class CasePicture:
    """Picture of a case, with its Dice."""

    case: str
    """Case id."""
    mean: float
    """Mean Dice over the labels."""
    dice: dict[str, float]
    """Dice by label."""
    png: bytes
    """Content of the PNG file."""

    def caption(self) -> str:
        """Return case and Dice in words; of many labels only the lowest are named."""
        ordered = sorted(self.dice.items(), key=lambda item: item[1])
        named = ", ".join(f"{name} {value:.3f}" for name, value in ordered[:LOWEST])
        words = f"{self.case}: Dice {self.mean:.3f}"
        if len(ordered) == 1:
            return words
        return f"{words} ({'lowest: ' if len(ordered) > LOWEST else ''}{named})"


@dataclass(frozen=True)
class TrainingPage:
    """Content of the page; a table is None if it was not measured."""

    name: str
    """Name of the training."""
    facts: Sequence[tuple[str, str]]
    """Rows of the first table: a name and a value."""
    curve: bytes
    """Content of progress.png."""
    labels: Table | None
    """Dice by label."""
    pictures: Mapping[str, Sequence[CasePicture]]
    """Pictures of cases by heading."""
    cases: Table | None
    """Dice by case."""
    time: Table
    """Time by part of the work."""
    plan: Plan
    """Plan of the model."""


def training_page(page: TrainingPage) -> str:
    """Return the page as HTML."""
    title = f"Training {page.name}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        html_table(["", ""], page.facts),
        picture(
            page.curve, "Dice on the validation cases, loss, learning rate and time over the steps."
        ),
        _dice(page),
        *_gallery(page.pictures),
        _cases(page),
        "<h2>Where the time went</h2>",
        html_table(*page.time),
        paragraph(
            "For a run that was stopped and resumed, this is the time that led to this model."
        ),
        "<h2>The plan</h2>",
        html_table(["decided", "", "because"], decided_rows(page.plan)),
        html_table(*_network(page.plan)),
    ]
    return html_page(title, parts)


def _dice(page: TrainingPage) -> str:
    if page.labels is None:
        return ""
    words = (
        "± is half the 95 % confidence interval of the mean over the cases (Student's t). A case "
        "in which neither prediction nor reference has a label does not count for it. Predictions "
        "were made without test-time augmentation and are compared on the network's grid."
    )
    return f"<h2>Dice per label</h2>\n{html_table(*page.labels)}\n{paragraph(words)}"


def _gallery(pictures: Mapping[str, Sequence[CasePicture]]) -> list[str]:
    shown = {heading: cases for heading, cases in pictures.items() if cases}
    if not shown:
        return []
    words = (
        "Filled: the reference. Outlined: the prediction. "
        "The planes are those in which the two differ most."
    )
    parts = []
    for heading, cases in shown.items():
        parts += [f"<h2>{heading}</h2>", *(picture(case.png, case.caption()) for case in cases)]
    return [parts[0], paragraph(words), *parts[1:]]


def _cases(page: TrainingPage) -> str:
    return f"<h2>Dice per case, worst first</h2>\n{html_table(*page.cases)}" if page.cases else ""


def _network(plan: Plan) -> Table:
    header, *rows = stage_rows(plan)
    return list(header), [list(row) for row in rows]
