"""HTML page of a study: verdicts, tables and figures, in one file that loads nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.report.page import html_page, paragraph, picture
from segkit.report.tables import Cell, html_table


@dataclass(frozen=True)
class Section:
    """Part of the page: heading, paragraphs, then a table, then pictures."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    """Sentences of a list, below the paragraphs."""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    pictures: Sequence[tuple[Path, str]] = ()
    """PNG files, each with its caption."""


def table_section(
    title: str,
    table: tuple[Sequence[str], Sequence[Sequence[Cell]]],
    text: str = "",
    points: Sequence[str] = (),
) -> Section:
    """Return a section with a table; it is empty, and therefore left out, without rows.

    Args:
        title: its heading.
        table: header and rows.
        text: a paragraph above the table.
        points: sentences of a list between the paragraph and the table.
    """
    header, rows = table
    if not rows:
        return Section(title)
    return Section(title, [text] if text else [], points, header, rows)


def study_page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the page as HTML, with its pictures embedded.

    Args:
        title: heading of the page.
        lead: the verdict in a few sentences, before everything else.
        sections: the parts in their order; those without any content are left out.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", *map(paragraph, lead)]
    for section in sections:
        content = _content(section)
        if content:
            parts += [f"<h2>{html.escape(section.title)}</h2>", *content]
    return html_page(title, parts)


def _content(section: Section) -> list[str]:
    parts = [paragraph(text) for text in section.paragraphs]
    if section.points:
        items = "".join(f"<li>{html.escape(point)}</li>" for point in section.points)
        parts.append(f"<ul>{items}</ul>")
    if section.rows:
        parts.append(html_table(section.header, section.rows))
    return parts + [picture(path.read_bytes(), caption) for path, caption in section.pictures]
