"""HTML page of a training: curves, Dice, pictures of cases, time and plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segkit.planning.plan_table import decided_rows, stage_rows
from segkit.plans.plan import Plan
from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, html_table

Table = tuple[list[str], list[list[Cell]]]
"""Header and rows."""

LOWEST = 4
"""Number of labels that a caption names, those with the lowest Dice first."""


@dataclass(frozen=True)
class CasePicture:
    """Picture of a case as a PNG, with the Dice of each label and their mean."""

    case: str
    mean: float
    dice: dict[str, float]
    png: bytes

    def caption(self) -> str:
        """Return the caption: the case and its Dice, with that of the lowest labels only."""
        ordered = sorted(self.dice.items(), key=lambda item: item[1])
        labels = ", ".join(f"{name} {value:.3f}" for name, value in ordered[:LOWEST])
        text = f"{self.case}: Dice {self.mean:.3f}"
        if len(ordered) == 1:
            return text
        return f"{text} ({'lowest: ' if len(ordered) > LOWEST else ''}{labels})"


@dataclass(frozen=True)
class TrainingPage:
    """Content of the page; a table is None if it was not measured."""

    name: str
    facts: Sequence[tuple[str, str]]
    """Names and values for the table at the top."""
    curve: bytes
    """PNG of Dice, loss, learning rate and time over the steps."""
    labels: Table | None
    """Dice per label."""
    pictures: Mapping[str, Sequence[CasePicture]]
    """Heading -> pictures of cases."""
    cases: Table | None
    """Dice per case."""
    time: Table
    """Seconds for each part of the training."""
    plan: Plan


def training_page(page: TrainingPage) -> str:
    """Return the page as HTML."""
    title = f"Training {page.name}"
    parts = [
        f"<h1>{paragraph(title)[3:-4]}</h1>",
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
            "For a run that was stopped and resumed, only the work that led to this model counts."
        ),
        "<h2>The plan</h2>",
        html_table(["decided", "", "because"], decided_rows(page.plan)),
        html_table(*_network(page.plan)),
    ]
    return html_page(title, parts)


def _dice(page: TrainingPage) -> str:
    if page.labels is None:
        return ""
    text = (
        "± is half the 95 % confidence interval of the mean over the cases (Student's t). A case "
        "in which neither prediction nor reference has a label does not count for that label. "
        "Cases are predicted without test-time augmentation and compared on the network's grid."
    )
    return f"<h2>Dice per label</h2>\n{html_table(*page.labels)}\n{paragraph(text)}"


def _gallery(pictures: Mapping[str, Sequence[CasePicture]]) -> list[str]:
    shown = {heading: cases for heading, cases in pictures.items() if cases}
    if not shown:
        return []
    explanation = paragraph(
        "Filled: the reference. Outlined: the prediction. The planes are those in which the two"
        " differ most."
    )
    parts = []
    for heading, cases in shown.items():
        parts += [f"<h2>{heading}</h2>", *(picture(case.png, case.caption()) for case in cases)]
    first_heading, *others = parts
    return [first_heading, explanation, *others]


def _cases(page: TrainingPage) -> str:
    if page.cases is None:
        return ""
    return f"<h2>Dice per case, worst first</h2>\n{html_table(*page.cases)}"


def _network(plan: Plan) -> Table:
    header, *rows = stage_rows(plan)
    return list(header), [list(row) for row in rows]
