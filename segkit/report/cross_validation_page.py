"""A cross-validation as one HTML page: Dice per fold, what post-processing does, and the curve of every fold."""

from __future__ import annotations

import html
from collections.abc import Sequence

from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, html_table

Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]


def cross_validation_page(dataset: str, folds: Table, pieces: Table, trainings: str = "") -> str:
    """The page, to be written into the study's folder: its links and pictures are those of the files there.

    Args:
        dataset: its name.
        folds: header and rows of Dice per label; the columns from the fifth on are the folds.
        pieces: header and rows of Dice with all pieces of a label and with the largest only.
        trainings: what the trainings of the folds have in common.
    """
    parts = [
        f"<h1>Cross-validation on {html.escape(dataset)}</h1>",
        "<p>Every case was predicted, on its own grid, by the model that did not see it. "
        '<a href="evaluation/report.html">All metrics, case by case</a>.</p>',
        "<h2>Dice per fold</h2>",
        html_table(*folds),
        "<p>Of a fold: the mean over its cases that have the label. The mean is that of the folds; "
        "the standard deviations, of the sample, are over the means of the folds and over all cases.</p>",
        paragraph(trainings),
        *(_pieces(pieces) if pieces[1] else []),
        "<h2>Curves</h2>",
        *(_curve(number, name) for number, name in enumerate(folds[0][4:])),
    ]
    return html_page("Cross-validation", parts)


def _pieces(pieces: Table) -> list[str]:
    return [
        "<h2>The largest piece of each label only?</h2>",
        html_table(*pieces),
        "<p>Means over the cases that have the label. Adopted where Dice improves by 0.0005 or more; no other label "
        "can lose, because what is removed becomes background. The ensemble applies what was adopted; the tables above "
        "and the evaluation are without it.</p>",
    ]


def _curve(number: int, name: str) -> str:
    return f'<p>{name}<br><img src="fold_{number}/progress.png" alt="Loss and Dice of {name}"></p>'
