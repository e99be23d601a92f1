"""Page of a check: problems with their remedies, distributions, and a gallery, the oddest first."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

from segkit.dataset_check.check import Examined
from segkit.dataset_check.checks import BY_NAME
from segkit.dataset_check.fix_geometry import CORRECTS, NEVER_CORRECTS
from segkit.dataset_check.outliers import Quantity, quantities
from segkit.dataset_check.problem import Problem
from segkit.dataset_check.summary import summary, verdict
from segkit.files.atomic import write_text
from segkit.report.check_cards import CARDS_CSS, Pictures, case_link, gallery, linked
from segkit.report.check_figures import MOST_ROWS, distribution_figure
from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, csv_text

TITLES = {
    "spacing": "Voxel spacing",
    "size": "Field of view",
    "intensity": "Intensities",
    "volume": "Label volumes",
}
RECORD = "summary.json"
FILES = (
    "report.html",
    "problems.csv",
    "measurements.csv",
    RECORD,
    *(f"{family}{suffix}" for family in TITLES for suffix in (".png", ".svg")),
)
"""Names of the files of a check, of which `RECORD` names the dataset."""
CSS = f"""
<style>{CARDS_CSS}
h1, h2, h3 {{ break-after: avoid; }}
figure, li, .fix {{ break-inside: avoid; }}
h3 + p {{ break-after: avoid; }}
.error, .warning, .note {{ font-weight: 600; }}
.error {{ color: #a40000; }} .warning {{ color: #8a4b00; }} .note {{ color: #00548c; }}
.fix {{ border-left: 3px solid #888; padding-left: .8rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: .4rem; }}
@page {{ size: A4; margin: 14mm; }}
@media print {{
  body {{ font-size: 10.5pt; margin: 0; max-width: none; padding: 0; }}
  figure img {{ max-height: 220mm; }}
  a {{ color: inherit; }}
}}
</style>"""


def write_check(
    examined: Examined,
    folder: str | Path,
    pictures: Pictures,
    *,
    command: Sequence[str] = ("segkit", "check", "DATASET"),
) -> list[Path]:
    """Write report.html, problems.csv, measurements.csv and summary.json, and return the paths.

    The figures of the page are written beside it.

    Args:
        examined: result of the check.
        folder: where to write.
        pictures: a picture of each case, or the reason why there is none.
        command: words of the command that checks the dataset, for advice on the page.
    """
    folder = Path(folder)
    # The record first, so that the same call may renew the files of one that was killed.
    record = json.dumps(summary(examined), indent=2, ensure_ascii=False) + "\n"
    write_text(folder / RECORD, record)
    found = quantities(examined.measured)
    figures = _figures(folder, found)
    texts = {
        "report.html": page(examined, pictures, figures, command),
        "problems.csv": _problems_csv(examined.problems),
        "measurements.csv": _measurements_csv(found),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in (*texts, RECORD)]


def page(
    examined: Examined,
    pictures: Pictures,
    figures: Sequence[tuple[Path, str]],
    command: Sequence[str],
) -> str:
    """Return the page as HTML, with its pictures embedded."""
    dataset = examined.measured.dataset
    title = f"Check of {dataset.name}"
    incomplete = f", {len(dataset.incomplete)} more are incomplete" if dataset.incomplete else ""
    facts = (
        f"{len(dataset.cases)} cases; {len(examined.measured.cases)} could be measured{incomplete}."
        f" Channels: {', '.join(dataset.channels)}. Labels: {', '.join(dataset.labels)}."
    )
    parts = [
        CSS,
        f"<h1>{html.escape(title)}</h1>",
        f"<p><b>{html.escape(verdict(examined.problems))}</b></p>",
        paragraph(facts),
        *_problem_list(examined.problems, command, {case.id for case in dataset.cases}),
        "<h2>Distributions</h2>",
        *(picture(path.read_bytes(), caption) for path, caption in figures),
        *gallery(examined, pictures),
    ]
    return html_page(title, parts)


def _problem_list(
    problems: Sequence[Problem], command: Sequence[str], cards: Collection[str]
) -> list[str]:
    """Return the problems under a heading for each check, with what to do about them.

    Args:
        problems: all of them, the worst first.
        command: what was typed.
        cards: ids of the cases that have a card, to which a problem is linked.
    """
    parts = []
    for severity, of_severity in groupby(problems, key=lambda problem: problem.severity):
        listed = list(of_severity)
        parts.append(f'<h2 class="{severity}">{severity.capitalize()}s: {len(listed)}</h2>')
        for name, of_check in groupby(listed, key=lambda problem: problem.check):
            own = list(of_check)
            parts.append(f"<h3>{html.escape(name)}: {html.escape(BY_NAME[name].finds)}</h3>")
            parts.append(f"<p><b>What to do:</b> {html.escape(own[0].remedy)}</p>")
            if any(problem.correctable for problem in own):
                parts.append(_fix_geometry(command))
            items = "".join(_problem_item(problem, cards) for problem in own)
            parts.append(f"<ul>{items}</ul>")
    return parts


def _fix_geometry(command: Sequence[str]) -> str:
    """Return what to type for a copy with corrected headers, and what is never corrected."""
    name = Path(command[2]).name.partition(".")[0] or "dataset"
    words = shlex.join([*command, "--fix-geometry", f"{name}_corrected"])
    return (
        f'<div class="fix"><pre>{html.escape(words)}</pre>'
        f"{paragraph(f'This writes a copy into a new folder. {CORRECTS} {NEVER_CORRECTS}')}</div>"
    )


def _problem_item(problem: Problem, cards: Collection[str]) -> str:
    if not problem.case:
        return f"<li>{linked(problem)}</li>"
    file = f" <small>({html.escape(problem.file)})</small>" if problem.file else ""
    case = case_link(problem.case) if problem.case in cards else html.escape(problem.case)
    return f"<li>{case}: {html.escape(problem.message)}{file}</li>"


def _figures(folder: Path, found: Sequence[Quantity]) -> list[tuple[Path, str]]:
    """Draw a figure for each family of measurements; return the PNG files with captions."""
    figures = []
    for family, title in TITLES.items():
        own = [quantity for quantity in found if quantity.family == family]
        if own:
            caption = (
                f"{title}: a point for each case. Diamonds are outliers, with their names;"
                " the problems above list all of them."
            )
            if len(own) > MOST_ROWS:
                caption += f" The {MOST_ROWS} measurements with the largest deviations are shown."
            if family == "intensity" and own[0].groups:
                caption += " Colors are the intensity groups, within which cases are compared."
            figures.append((distribution_figure(folder / family, title, own), caption))
    return figures


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
