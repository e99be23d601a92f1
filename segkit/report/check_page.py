"""Page of a check: problems with their remedies, distributions, and a gallery, the oddest first."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from segkit.dataset_check.check import Examined
from segkit.dataset_check.checks import BY_NAME
from segkit.dataset_check.oddness import OddCase, rank_cases
from segkit.dataset_check.outliers import Quantity, quantities
from segkit.dataset_check.problem import Problem
from segkit.dataset_check.summary import summary, verdict
from segkit.files.atomic import write_text
from segkit.labels.colors import label_colors
from segkit.report.check_figures import MOST_ROWS, distribution_figure
from segkit.report.check_thumbnails import names_of_indices
from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, csv_text

MOST_PICTURES = 300
"""Largest number of cases with a picture, so that the page stays below about 10 MB."""
MOST_LABELS = 60
"""Largest number of labels in the legend."""
TITLES = {
    "spacing": "Voxel spacing",
    "size": "Field of view",
    "intensity": "Intensities",
    "volume": "Label volumes",
}
CSS = """
<style>
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
h2, h3 { break-after: avoid; }
figure { break-inside: avoid; }
.card { border: 1px solid #ccc; border-radius: 6px; padding: .5rem; break-inside: avoid; }
.card h3 { margin: .2rem 0; font-size: 1rem; }
.card ul { margin: .3rem 0; padding-left: 1.1rem; font-size: .9rem; }
.card p { margin: .3rem 0; font-size: .85rem; color: #555; }
.card img { width: 100%; background: #101010; }
.error, .warning, .note { font-weight: 600; }
.error { color: #a40000; } .warning { color: #8a4b00; } .note { color: #00548c; }
.swatch { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; }
@media (max-width: 40rem) { .gallery { grid-template-columns: 1fr; } }
</style>"""


def write_check(
    examined: Examined, folder: str | Path, thumbnails: Mapping[str, bytes]
) -> list[Path]:
    """Write report.html, problems.csv, measurements.csv and summary.json, and return the paths.

    The figures of the page are written beside it.

    Args:
        examined: result of the check.
        folder: where to write.
        thumbnails: case id -> picture as JPEG, of the cases that could be read.
    """
    folder = Path(folder)
    found = quantities(examined.measured)
    figures = _figures(folder, found)
    texts = {
        "report.html": page(examined, thumbnails, figures),
        "problems.csv": _problems_csv(examined.problems),
        "measurements.csv": _measurements_csv(found),
        "summary.json": json.dumps(summary(examined), indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def page(
    examined: Examined, thumbnails: Mapping[str, bytes], figures: Sequence[tuple[Path, str]]
) -> str:
    """Return the page as HTML, with its pictures embedded."""
    dataset = examined.measured.dataset
    title = f"Check of {dataset.name}"
    facts = (
        f"{len(dataset.cases)} cases; {len(examined.measured.cases)} could be measured."
        f" Channels: {', '.join(dataset.channels)}. Labels: {', '.join(dataset.labels)}."
    )
    parts = [
        CSS,
        f"<h1>{html.escape(title)}</h1>",
        f"<p><b>{html.escape(verdict(examined.problems))}</b></p>",
        paragraph(facts),
        *_problem_list(examined.problems),
        "<h2>Distributions</h2>",
        *(picture(path.read_bytes(), caption) for path, caption in figures),
        *_gallery(examined, thumbnails),
    ]
    return html_page(title, parts)


def _problem_list(problems: Sequence[Problem]) -> list[str]:
    """Return the problems under a heading for each check, with what to do about them."""
    parts = []
    for severity, of_severity in groupby(problems, key=lambda problem: problem.severity):
        listed = list(of_severity)
        parts.append(f'<h2 class="{severity}">{severity.capitalize()}s: {len(listed)}</h2>')
        for name, of_check in groupby(listed, key=lambda problem: problem.check):
            own = list(of_check)
            parts.append(f"<h3>{html.escape(name)}: {html.escape(BY_NAME[name].finds)}</h3>")
            parts.append(f"<p><b>What to do:</b> {html.escape(own[0].remedy)}</p>")
            parts.append(f"<ul>{''.join(map(_problem_item, own))}</ul>")
    return parts


def _problem_item(problem: Problem) -> str:
    if not problem.case:
        return f"<li>{html.escape(problem.message)}</li>"
    file = f" <small>({html.escape(problem.file)})</small>" if problem.file else ""
    name = html.escape(problem.case)
    return f'<li><a href="#case-{name}">{name}</a>: {html.escape(problem.message)}{file}</li>'


def _figures(folder: Path, found: Sequence[Quantity]) -> list[tuple[Path, str]]:
    """Draw a figure for each family of measurements; return the PNG files with captions."""
    figures = []
    for family, title in TITLES.items():
        own = [quantity for quantity in found if quantity.family == family]
        if own:
            caption = (
                f"{title}: a point for each case. Diamonds are outliers, with their names; the"
                " notes above list all of them."
            )
            if len(own) > MOST_ROWS:
                caption += f" The {MOST_ROWS} measurements with the largest deviations are shown."
            if family == "intensity" and own[0].groups:
                caption += " Colors are the intensity groups, within which cases are compared."
            figures.append((distribution_figure(folder / family, title, own), caption))
    return figures


def _gallery(examined: Examined, thumbnails: Mapping[str, bytes]) -> list[str]:
    dataset = examined.measured.dataset
    ranked = rank_cases(examined)
    names = names_of_indices(dataset)
    colors = label_colors(names, None)
    legend = "".join(
        f'<span class="swatch" style="background: rgb{tuple(colors[name])}"></span>'
        f"{html.escape(name)}"
        for name in list(names)[:MOST_LABELS]
    )
    if len(names) > MOST_LABELS:
        legend += f" and {len(names) - MOST_LABELS} more"
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
    cards = [
        _card(case, thumbnails.get(case.case) if place < MOST_PICTURES else None)
        for place, case in enumerate(ranked)
    ]
    rest = len(ranked) - MOST_PICTURES
    more = f"The {rest} least odd cases are listed without a picture." if rest > 0 else ""
    return [
        "<h2>Cases, the oddest first</h2>",
        paragraph(f"{text} {more}".strip()),
        f"<p>{legend}</p>",
        f'<div class="gallery">{"".join(cards)}</div>',
    ]


def _card(case: OddCase, jpeg: bytes | None) -> str:
    name = html.escape(case.case)
    image = ""
    if jpeg:
        encoded = base64.b64encode(jpeg).decode("ascii")
        image = f'<img alt="planes of {name}" src="data:image/jpeg;base64,{encoded}">'
    problems = "".join(
        f'<li><span class="{problem.severity}">{problem.severity}</span>:'
        f" {html.escape(problem.message)}</li>"
        for problem in case.problems
    )
    why = f"<ul>{problems}</ul>" if problems else "<p>No problem of this case alone.</p>"
    farthest = f"Farthest from the others: {case.farthest}." if case.farthest else ""
    return (
        f'<div class="card" id="case-{name}"><h3>{name}</h3>{image}{why}{paragraph(farthest)}</div>'
    )


def _problems_csv(problems: Sequence[Problem]) -> str:
    columns = ["case", "severity", "check", "file", "message", "remedy"]
    return csv_text(columns, ([getattr(each, name) for name in columns] for each in problems))


def _measurements_csv(found: Sequence[Quantity]) -> str:
    rows: list[list[Cell]] = []
    for quantity in found:
        deviations = quantity.deviations()
        rows += [
            [case, quantity.name, f"{value:.6g}", quantity.unit, f"{deviations[case]:.2f}"]
            for case, value in quantity.values.items()
        ]
    return csv_text(["case", "measurement", "value", "unit", "deviation"], rows)
