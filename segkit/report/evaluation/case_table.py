"""Table of all cases of an evaluation, worst first, with recorded certainty and pieces."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from segkit.report.evaluation.cases import RECORDED, CaseFacts, lowest_label
from segkit.report.page import paragraph
from segkit.report.tables import Cell, cell_text

LABELS_BESIDE = 4
"""Number of labels up to which each has its own columns; beyond, only the lowest one is shown."""


def case_section(facts: Sequence[CaseFacts], labels: Sequence[str], shown: Collection[str]) -> str:
    """Return the section with all cases as HTML.

    Args:
        facts: all cases, worst first.
        labels: names of the labels.
        shown: cases that the page has a picture of, to which their rows link.
    """
    recorded = [key for key in RECORDED if any(_has(fact, key) for fact in facts)]
    header = _header(labels, recorded)
    if any(fact.warnings for fact in facts):
        header.append("warnings of the prediction")
    rows = "\n".join(_row(fact, labels, recorded, len(header), shown) for fact in facts)
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    return (
        '<h2 id="cases">Every case, worst first</h2>\n'
        f"{paragraph(_explanation(recorded, labels))}\n"
        '<p class="phone">Swipe the table to see all columns.</p>\n'
        f'<table class="sortable">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _has(fact: CaseFacts, key: str) -> bool:
    return any(key in figures for figures in fact.figures.values())


def _explanation(recorded: Sequence[str], labels: Sequence[str]) -> str:
    text = "The mean is that over the labels of the case. Click a column's title to sort by it."
    if len(labels) > LABELS_BESIDE:
        text += " Of the labels, only the one with the lowest Dice is shown; cases.csv has all."
    if "certainty" in recorded:
        text += (
            " Certainty is 1 minus the mean uncertainty (entropy) inside of the predicted label, as"
            " the model stated it without the reference."
        )
    if "pieces" in recorded:
        text += " Pieces are the connected components of the predicted label."
    if not recorded:
        text += (
            " No certainty or number of pieces is recorded beside the predictions: segkit predict"
            " --stats records pieces, and with --uncertainty the certainty as well."
        )
    return text


def _header(labels: Sequence[str], recorded: Sequence[str]) -> list[str]:
    titles = [RECORDED[key] for key in recorded]
    if len(labels) > LABELS_BESIDE:
        return ["case", "mean Dice", "lowest label", "Dice", *titles]
    if len(labels) == 1:
        return ["case", f"Dice of {labels[0]}", *titles]
    by_label = [f"{label} {title}" for label in labels for title in ("Dice", *titles)]
    return ["case", "mean Dice", *by_label]


def _row(
    fact: CaseFacts,
    labels: Sequence[str],
    recorded: Sequence[str],
    columns: int,
    shown: Collection[str],
) -> str:
    cells = _cells(fact, labels, recorded)
    if len(cells) + 1 < columns:
        cells.append("; ".join(fact.warnings))
    name = html.escape(cell_text(fact.case))
    if fact.case in shown:
        name = f'<a href="#{anchor(fact.case)}">{name}</a>'
    body = "".join(
        f"<td>{html.escape(cell_text(cell))}</td>"
        if isinstance(cell, str)
        else f'<td class="n">{number_text(cell)}</td>'
        for cell in cells
    )
    return f'<tr><th scope="row">{name}</th>{body}</tr>'


def _cells(fact: CaseFacts, labels: Sequence[str], recorded: Sequence[str]) -> list[Cell]:
    """Return the cells of a case after its name, without its warnings."""
    if len(labels) > LABELS_BESIDE:
        label, dice = lowest_label(fact) or ("", None)
        figures = fact.figures.get(label, {})
        return [fact.mean, label, dice, *(figures.get(key) for key in recorded)]
    cells: list[Cell] = [] if len(labels) == 1 else [fact.mean]
    for label in labels:
        figures = fact.figures.get(label, {})
        cells += [fact.dice.get(label), *(figures.get(key) for key in recorded)]
    return cells


def anchor(case: str) -> str:
    """Return the id of a case's picture in the page; different cases have different ones.

    >>> anchor("liver_1"), anchor("liver 1")
    ('case-liver-5f-1', 'case-liver-20-1')
    """
    return "case-" + "".join(
        letter if letter.isascii() and letter.isalnum() else f"-{ord(letter):x}-" for letter in case
    )


def number_text(number: Cell) -> str:
    """Return a number with three decimals, and a whole number as it is.

    >>> number_text(0.98765), number_text(3), number_text(None), number_text(float("inf"))
    ('0.988', '3', '-', 'inf')
    """
    text = cell_text(number)
    is_short = isinstance(number, float) and abs(number) < 100
    return f"{number:.3f}" if is_short else text
