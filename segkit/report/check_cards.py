"""Gallery of a check: a card for each case with its picture, its problems and why it is odd."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from segkit.dataset_check.check import Examined
from segkit.dataset_check.oddness import OddCase, rank_cases
from segkit.dataset_check.problem import Problem
from segkit.labels.colors import label_colors
from segkit.report.case_picture import names_of_indices
from segkit.report.page import paragraph

MOST_PICTURES = 300
"""Largest number of cases with a picture, so that the page stays below about 10 MB."""
MOST_LABELS = 60
"""Largest number of labels in the legend."""
CARDS_CSS = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
.card { border: 1px solid #ccc; border-radius: 6px; padding: .5rem; break-inside: avoid; }
.card h3 { margin: .2rem 0; font-size: 1rem; overflow-wrap: anywhere; }
.card ul { margin: .3rem 0; padding-left: 1.1rem; font-size: .9rem; }
.card p { margin: .3rem 0; font-size: .85rem; color: #555; }
.card img { width: 100%; background: #101010; }
.swatch { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; }
.card, li { overflow-wrap: anywhere; }
@media (max-width: 40rem) { .gallery { grid-template-columns: minmax(0, 1fr); } }
@media print {
  .gallery { display: block; column-count: 2; column-gap: 5mm; }
  .card { margin: 0 0 4mm; }
  .card, .card img, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}"""


@dataclass(frozen=True)
class Pictures:
    """Pictures of the cases as JPEG, and what must be said about them, by case id."""

    of_case: Mapping[str, bytes] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Remarks on a picture, or the reason why there is none."""


def case_link(case: str) -> str:
    """Return a link to the card of a case as HTML.

    >>> case_link("a&b")
    '<a href="#case-a%26b">a&amp;b</a>'
    """
    return f'<a href="#{card_id(case)}">{html.escape(case)}</a>'


def card_id(case: str) -> str:
    """Return the id of the card of a case, which means the same in an address.

    Browsers escape spaces in a link, and take "%41" for "A".

    >>> card_id("a b%41")
    'case-a%20b%2541'
    """
    return f"case-{quote(case, safe='')}"


def linked(problem: Problem, own: str = "") -> str:
    """Return the message of a problem as HTML, with links to the cases that share it.

    Args:
        problem: the problem.
        own: case on whose card it stands, which gets no link.

    >>> linked(Problem("", "warning", "a, b are the same scan", cases=("a", "b")), own="a")
    'a, <a href="#case-b">b</a> are the same scan'
    """
    names = ", ".join(problem.cases)
    links = ", ".join(
        html.escape(case) if case == own else case_link(case) for case in problem.cases
    )
    if not links:
        return html.escape(problem.message)
    if problem.message.startswith(names):
        return links + html.escape(problem.message.removeprefix(names))
    return f"{html.escape(problem.message)} ({links})"


def gallery(examined: Examined, pictures: Pictures) -> list[str]:
    """Return the cards of all cases as HTML, the oddest first, below their legend."""
    dataset = examined.measured.dataset
    ranked = rank_cases(examined)
    planes = (
        "Outlines of the labels."
        if examined.measured.unit == "px"
        else "Outlines of the labels on the planes that show most of them, in the first channel."
        " The patient's right is on the left."
    )
    text = (
        f"{planes} Errors count most, then warnings, then notes; then the"
        " distance of the farthest measurement from the median of the cases."
    )
    rest = len(ranked) - MOST_PICTURES
    more = f"The {rest} least odd cases are listed without a picture." if rest > 0 else ""
    cards = [
        _card(case, pictures, shown=place < MOST_PICTURES) for place, case in enumerate(ranked)
    ]
    return [
        "<h2>Cases, the oddest first</h2>",
        paragraph(f"{text} {more}".strip()),
        f"<p>{_legend(names_of_indices(dataset))}</p>",
        f'<div class="gallery">{"".join(cards)}</div>',
    ]


def _legend(names: Mapping[str, int]) -> str:
    colors = label_colors(names, None)
    legend = "".join(
        f'<span class="swatch" style="background: rgb{tuple(colors[name])}"></span>'
        f"{html.escape(name)}"
        for name in list(names)[:MOST_LABELS]
    )
    return legend + (f" and {len(names) - MOST_LABELS} more" if len(names) > MOST_LABELS else "")


def _card(case: OddCase, pictures: Pictures, *, shown: bool) -> str:
    name = html.escape(case.case)
    jpeg = pictures.of_case.get(case.case) if shown else None
    image = ""
    if jpeg:
        encoded = base64.b64encode(jpeg).decode("ascii")
        image = f'<img alt="planes of {name}" src="data:image/jpeg;base64,{encoded}">'
    remark = pictures.remarks.get(case.case, "") if shown else ""
    problems = "".join(
        f'<li><span class="{problem.severity}">{problem.severity}</span>:'
        f" {linked(problem, case.case)}</li>"
        for problem in case.problems
    )
    why = f"<ul>{problems}</ul>" if problems else "<p>No problem of this case.</p>"
    farthest = f"Farthest from the others: {case.farthest}." if case.farthest else ""
    return (
        f'<div class="card" id="{card_id(case.case)}"><h3>{name}</h3>{image}'
        f"{paragraph(remark)}{why}"
        f"{paragraph(farthest)}</div>"
    )
