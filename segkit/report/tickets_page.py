"""HTML page of a tickets study: answers, figures, a table of Dice, and what failed."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, html_table

Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Header and rows."""

CAPTIONS = {
    "tickets_and_controls": "Dice on held-out cases against the share of the weights that is left. "
    "A ticket that is no better than random weights of the same layers owes its Dice to the shape "
    "of the mask; one that is no better than new initial weights owes nothing to its own.",
    "norms": "Tickets of all norms: Dice, and the paired difference from the dense network of the "
    "same norm and seeds.",
    "after_pruning": "Dice right after pruning, before any further training: one level more than "
    "the weights were trained with, and the dense network pruned at once. 'New statistics': the "
    "stored statistics of the norms were measured anew on training patches, nothing else changed. "
    "'At random': as many weights of each layer, chosen at random.",
    "activations": "Spread of the activations after the dense network was pruned at once, as a "
    "ratio to before (geometric mean over channels and layers): what comes into a norm, and what "
    "leaves it. A norm that computes its statistics from the sample brings the spread back.",
    "density": "Share of the weights that each layer keeps.",
}
"""Text below each figure."""


def tickets_page(
    dataset: str,
    facts: str,
    *,
    answers: Sequence[tuple[str, Sequence[str]]],
    figures: Mapping[str, bytes],
    dice: Table,
    failed: Table,
) -> str:
    """Return the page as HTML.

    Args:
        dataset: name of the dataset.
        facts: sentences on the trainings and the cases.
        answers: questions with the sentences that answer them.
        figures: PNG of each figure by name, a key of CAPTIONS.
        dice: header and rows of the Dice of every kind of training.
        failed: header and rows of the trainings that failed.
    """
    parts = [
        f"<h1>Lottery tickets on {html.escape(dataset)}</h1>",
        paragraph(facts),
        *_answers(answers),
        "<h2>Figures</h2>" if figures else "",
        *(picture(png, CAPTIONS[name]) for name, png in figures.items()),
        "<h2>Dice</h2>",
        html_table(*dice),
        *_failed(failed),
        "<h2>How it was done</h2>",
        paragraph(METHOD),
        paragraph(LIMITS),
    ]
    return html_page("Lottery tickets", parts)


METHOD = (
    "Each level prunes a fixed share of the weights that are left, those of the smallest magnitude "
    "in all convolutions together; heads, norms and biases are not pruned. A ticket is then set "
    "back to the dense network's weights after the first steps and trained again. Its controls "
    "have as many weights in every layer: other weights chosen at random and set back likewise; "
    "the ticket's mask on newly initialized weights, trained from the first step; the ticket's "
    "mask on the trained weights of the level before, trained as long as the ticket. Precision, "
    "memory format, steps and patches are the same for all."
)
LIMITS = (
    "Intervals come from a bootstrap over cases and seeds; those of several levels are widened so "
    "that they hold together. With one seed they say nothing about other seeds. The cases were "
    "held out of all trainings, but the smallest ticket is chosen by them, so its Dice is slightly "
    "optimistic. Masked weights are zeros: these networks are not faster."
)


def _answers(answers: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    if not answers:
        return [paragraph("Too few trainings are finished to compare any of them.")]
    parts = ["<h2>Answers</h2>"]
    for question, sentences in answers:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
        parts += [f"<h3>{html.escape(question)}</h3>", f"<ul>{items}</ul>"]
    return parts


def _failed(failed: Table) -> list[str]:
    if not failed[1]:
        return []
    note = "The same command tries them again; what is above is without them."
    return ["<h2>Failed trainings</h2>", html_table(*failed), paragraph(note)]
