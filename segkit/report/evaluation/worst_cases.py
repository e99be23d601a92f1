"""Pictures of the worst cases of an evaluation, and the same cases for the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import InputError
from segkit.evaluation.evaluate import Evaluation
from segkit.report.evaluation.case_table import anchor, number_text
from segkit.report.evaluation.cases import RECORDED, CaseFacts
from segkit.report.evaluation.drawn_case import read_drawn_case
from segkit.report.evaluation.viewer import MOST_BYTES, ViewedCase, viewed_case
from segkit.report.page import paragraph, picture

LABELS_NAMED = 4
"""Number of labels that a caption names, those with the lowest Dice first."""
EXPLANATION = (
    "Prediction: outlined in the color of the label. Reference: tinted in the same color, with a"
    " dashed white outline."
)
PLANES = (
    " The planes are those in which the two differ most; only the part around the labels is shown."
    " The patient's right is on your left."
)
"""Further sentences for volumes."""


@dataclass(frozen=True)
class WorstCases:
    """The worst cases: their pictures as HTML, and what the viewer shows."""

    pictures: dict[str, str]
    """Case -> figure, worst first."""
    viewed: Sequence[ViewedCase]
    are_volumes: bool
    """False if the cases are pictures."""

    def section(self) -> str:
        """Return the section with the pictures as HTML; "" without any."""
        if not self.pictures:
            return ""
        figures = "\n".join(self.pictures.values())
        explanation = paragraph(EXPLANATION + PLANES * self.are_volumes)
        return f'<h2 id="worst">Worst cases</h2>\n{explanation}\n{figures}'


def draw_worst_cases(
    evaluation: Evaluation, facts: Sequence[CaseFacts], *, most: int, scans: Path | None
) -> WorstCases:
    """Return the cases with the lowest mean Dice, drawn one after the other.

    Args:
        evaluation: the evaluation; without files nothing is drawn.
        facts: all cases, worst first.
        most: number of cases to draw.
        scans: folder with the scans; see `read_drawn_case`.
    """
    figures: dict[str, str] = {}
    viewed: list[ViewedCase] = []
    pairs = evaluation.pairs
    pair_of = {pair.case: pair for pair in pairs.pairs} if pairs else {}
    for fact in [fact for fact in facts if fact.mean is not None][:most]:
        if pairs is None or fact.case not in pair_of:
            continue
        words = caption(fact)
        try:
            drawn = read_drawn_case(pair_of[fact.case], pairs, scans)
        except InputError as error:  # a file that has changed since it was measured
            figures[fact.case] = paragraph(f"{fact.case} cannot be drawn: {error}")
            continue
        note = f" It is {drawn.note}." if drawn.note else ""
        identity = anchor(fact.case)
        figures[fact.case] = (
            f'<div id="{identity}" class="case">{picture(drawn.png(), words + note)}</div>'
        )
        view = viewed_case(drawn, words)
        if view and view.bytes + sum(case.bytes for case in viewed) <= MOST_BYTES:
            viewed.append(view)
    return WorstCases(figures, viewed, evaluation.summary.get("unit") != ["px"])


def caption(fact: CaseFacts) -> str:
    """Return the Dice of a case and what was recorded about it, in words.

    >>> caption(CaseFacts("a", 0.5, {"liver": 0.5}, {"liver": {"certainty": 0.75, "pieces": 2}}))
    'a: liver Dice 0.500, certainty 0.750, pieces 2.'
    """
    ordered = sorted(fact.dice.items(), key=lambda item: item[1])
    labels = []
    for label, dice in ordered[:LABELS_NAMED]:
        figures = fact.figures.get(label, {})
        recorded = (f", {RECORDED[key]} {number_text(figures[key])}" for key in figures)
        labels.append(f"{label} Dice {number_text(dice)}{''.join(recorded)}")
    if len(ordered) == 1:
        return f"{fact.case}: {labels[0]}."
    lowest = "lowest: " if len(ordered) > LABELS_NAMED else ""
    return f"{fact.case}: mean Dice {number_text(fact.mean)} ({lowest}{'; '.join(labels)})."
