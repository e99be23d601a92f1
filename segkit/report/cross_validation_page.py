"""HTML page of a cross-validation: Dice per fold, gain of postprocessing, curves of the folds."""

from __future__ import annotations

import html
from collections.abc import Sequence

from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, html_table

Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Header and rows."""


def cross_validation_page(
    dataset: str, folds: Table, components: Table, trainings: str = ""
) -> str:
    """Return the page, which links to files in the folder of the study.

    Args:
        dataset: name of the dataset.
        folds: Dice per label; the columns from the fifth on are the folds.
        components: Dice with all connected components of a label and with the largest only.
        trainings: sentence on the settings that all trainings share.
    """
    parts = [
        f"<h1>Cross-validation on {html.escape(dataset)}</h1>",
        "<p>Every case was predicted, on its own grid, by the model that did not see it. "
        '<a href="evaluation/report.html">All metrics, case by case</a>.</p>',
        "<h2>Dice per fold</h2>",
        html_table(*folds),
        "<p>The value of a fold is the mean over its cases that have the label. The mean is over "
        "the folds; the sample standard deviations are over the means of the folds and over all "
        "cases.</p>",
        paragraph(trainings),
        *(_largest_component(components) if components[1] else []),
        "<h2>Curves</h2>",
        *(_curve(number, name) for number, name in enumerate(folds[0][4:])),
    ]
    return html_page("Cross-validation", parts)


def _largest_component(components: Table) -> list[str]:
    return [
        "<h2>Only the largest connected component of each label?</h2>",
        html_table(*components),
        "<p>Means over the cases that have the label. The rule is adopted where Dice improves by "
        "0.0005 or more; no other label can lose, because removed voxels become background. The "
        "ensemble applies the rules that were adopted; the tables above and the evaluation are "
        "without them.</p>",
    ]


def _curve(number: int, name: str) -> str:
    return f'<p>{name}<br><img src="fold_{number}/progress.png" alt="Loss and Dice of {name}"></p>'
