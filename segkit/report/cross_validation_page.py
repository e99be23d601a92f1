"""HTML page of a cross-validation: Dice per fold, postprocessing and curves."""

from __future__ import annotations

import html
from collections.abc import Sequence

from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, html_table

Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Header and rows."""


def cross_validation_page(dataset: str, folds: Table, pieces: Table, trainings: str = "") -> str:
    """Return the page as HTML; its links and pictures refer to files in the study's folder.

    Args:
        dataset: name of the dataset.
        folds: header and rows of Dice per label; the folds are the columns from the fifth on.
        pieces: header and rows of Dice with all components of a label, and with the largest only.
        trainings: sentence about the settings that the trainings of the folds share.
    """
    parts = [
        f"<h1>Cross-validation on {html.escape(dataset)}</h1>",
        "<p>Every case was predicted, on its own grid, by the model that did not see it. "
        '<a href="evaluation/report.html">All metrics, case by case</a>.</p>',
        "<h2>Dice per fold</h2>",
        html_table(*folds),
        "<p>The Dice of a fold is the mean over its cases that have the label. The mean is taken "
        "over the folds. The sample standard deviations are taken over the means of the folds, and "
        "over all cases.</p>",
        paragraph(trainings),
        *(_largest_piece(pieces) if pieces[1] else []),
        "<h2>Curves</h2>",
        *(_curve(number, name) for number, name in enumerate(folds[0][4:])),
    ]
    return html_page("Cross-validation", parts)


def _largest_piece(pieces: Table) -> list[str]:
    return [
        "<h2>Keep only the largest piece of each label?</h2>",
        html_table(*pieces),
        "<p>Dice is the mean over the cases that have the label. The largest piece is adopted if "
        "it improves Dice by 0.0005 or more. No other label can get worse, because removed pieces "
        "become background. The ensemble applies the adopted rules; the tables above and the "
        "evaluation do not.</p>",
    ]


def _curve(number: int, name: str) -> str:
    return f'<p>{name}<br><img src="fold_{number}/progress.png" alt="Loss and Dice of {name}"></p>'
