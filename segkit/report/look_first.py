"""HTML page of many predictions: which scans to look at first, and why."""

from __future__ import annotations

import html
import os
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segkit.report.page import html_page, paragraph

TITLE = "Scans to look at first"
STYLE = """
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
ol { gap: 1rem 2rem; padding-left: 2rem; }
li img { width: 100%; max-width: 30rem; }
table { font-size: .95rem; }
td:not(:last-child) { white-space: nowrap; }
a { color: #005a8f; }
@media screen and (max-width: 40rem) {
  ol { padding-left: 1.6rem; }
  .cards tr { border-width: 0 0 1px; border-radius: 0; padding: .3rem 0; margin: 0; }
  .cards td:first-child { white-space: normal; }
}
@media print {
  body { max-width: none; margin: 0; font-size: 9pt; line-height: 1.3; }
  table { display: table; font-size: 8pt; width: 100%; }
  th, td { padding: .1rem .3rem; min-width: 0; }
  td:last-child { white-space: normal; width: 45%; }
  ol { grid-template-columns: 1fr 1fr 1fr; gap: .4rem 1.8rem; font-size: 8pt; }
  li img { max-height: 5.2cm; width: auto; max-width: 100%; }
  a { color: inherit; text-decoration: none; }
}
"""
"""CSS of this page: cards of scans in columns, three of them on paper."""


@dataclass(frozen=True)
class ScanToLook:
    """One scan of many, and what is known about the quality of its label map."""

    case: str
    failure: str = ""
    """Message of a scan that could not be predicted."""
    dice: float | None = None
    """Expected Dice, mean over labels; None where it is not known."""
    note: str = ""
    """Why it is not known, if that can be said."""
    error: float | None = None
    """Mean absolute error of such an expected Dice."""
    usual: float | None = None
    """Mean Dice of the same labels in validation cases."""
    lowest: tuple[str, float] | None = None
    """Label with the lowest expected Dice, and that Dice."""
    flags: tuple[str, ...] = ()
    """Sentences on what is unusual about the scan or a label."""
    preview: str = ""
    """Name of the picture in the same folder, if there is one."""

    @property
    def is_worse(self) -> bool:
        """True if a Dice is expected that is below the usual one by more than its error."""
        known = self.dice is not None and self.usual is not None
        return known and (self.dice or 0.0) + (self.error or 0.0) < (self.usual or 0.0)

    @property
    def is_first(self) -> bool:
        """True if a person must look at the scan: it failed, is flagged, or expected to be worse.

        >>> ScanToLook("a", dice=0.5, error=0.1, usual=0.9).is_first
        True
        >>> ScanToLook("a", dice=0.85, error=0.1, usual=0.9).is_first
        False
        """
        return bool(self.failure or self.flags) or self.is_worse


def in_order(scans: Sequence[ScanToLook]) -> list[ScanToLook]:
    """Return the scans as they should be looked at.

    Failed scans come first, then those that are flagged or expected to be worse, then the others.
    Among them those with the lowest expected Dice come first; a flagged scan without one comes
    before, and another one last.
    """

    def key(scan: ScanToLook) -> tuple[bool, bool, float]:
        unknown = -1.0 if scan.is_first else 2.0
        return not scan.failure, not scan.is_first, unknown if scan.dice is None else scan.dice

    return sorted(scans, key=key)


def look_first_page(scans: Sequence[ScanToLook], accuracy: str) -> str:
    """Return the page as HTML; its pictures are files in the same folder.

    A table of all scans comes first, then a card with the picture of each.

    Args:
        scans: all scans.
        accuracy: a sentence on how accurate an expected Dice is.
    """
    ordered = in_order(scans)
    first = [scan for scan in ordered if scan.is_first]
    rest = [scan for scan in ordered if not scan.is_first]
    return html_page(
        TITLE,
        [
            f"<h1>{TITLE}</h1>",
            paragraph(_summary(scans, first)),
            paragraph(_order(ordered)),
            paragraph(_alike(rest)),
            paragraph(accuracy),
            paragraph(_signs(scans)),
            _table(ordered),
            *_section("Look at these", first, 1),
            *_section(
                _title_of_others(rest, "The others" if first else "All scans"), rest, 1 + len(first)
            ),
        ],
        style=STYLE,
    )


def _title_of_others(scans: Sequence[ScanToLook], name: str) -> str:
    if all(scan.dice is None for scan in scans):
        return f"{name}, in no order"
    return f"{name}, lowest expected Dice first"


def _summary(scans: Sequence[ScanToLook], first: Sequence[ScanToLook]) -> str:
    failed = sum(bool(scan.failure) for scan in first)
    flagged = sum(bool(scan.flags) for scan in first)
    worse = sum(scan.is_worse for scan in first)
    unknown = sum(scan.dice is None and not scan.is_first for scan in scans)
    without = f"{unknown} have no expected Dice, so nothing orders them. " if unknown else ""
    stand_out = (
        f"{len(first)} of {len(scans)} scans should be looked at: {failed} could not be predicted, "
        f"{flagged} {'has' if flagged == 1 else 'have'} a warning, and for {worse} a lower Dice is "
        "expected than validation cases have (some are counted twice). "
    )
    if not first:
        stand_out = "No scan stands out: none failed, has a warning or is expected to be worse. "
    others = "The others" if first else "They"
    return (
        f"{stand_out}{without}{others} may be wrong as well: an expected Dice is an estimate, and "
        "not a measurement."
    )


def _order(scans: Sequence[ScanToLook]) -> str:
    """Return in which order the scans are; "" if nothing orders them."""
    if not any(scan.is_first or scan.dice is not None for scan in scans):
        return ""
    return (
        "The order: scans that could not be predicted; then those with a warning or with a lower "
        "expected Dice than validation cases have, the lowest expected Dice first (those without "
        "one before them, because nothing says that they are good); then all others, the lowest "
        "expected Dice first."
    )


def _signs(scans: Sequence[ScanToLook]) -> str:
    """Return what the numbers in the table are; "" without an expected Dice."""
    if all(scan.dice is None for scan in scans):
        return ""
    return (
        "Expected Dice: the mean over the labels, \N{PLUS-MINUS SIGN} the mean absolute error of "
        "such estimates, copies that were degraded among them, and widened if the validation cases "
        "are few: so it is mostly wider than that of scans as they are. Usual: the mean "
        "Dice of the same labels in validation cases."
    )


def _alike(rest: Sequence[ScanToLook]) -> str:
    """Return how many other scans are as good as the best, by their errors; "" if none are.

    >>> _alike([ScanToLook("a", dice=0.5, error=0.1), ScanToLook("b", dice=0.75, error=0.1)])
    ''
    """
    known = [(scan.dice, scan.error or 0.0) for scan in rest if scan.dice is not None]
    best = max((dice for dice, _ in known), default=0.0)
    alike = sum(best - dice <= error for dice, error in known)
    if alike < 2:
        return ""
    return (
        f"{alike} scans without a warning have an expected Dice within the error of the highest: "
        "they are not distinguishable, and their order says nothing."
    )


def _table(scans: Sequence[ScanToLook]) -> str:
    """Return a row for each scan: its place, its expected Dice and why to look at it.

    Columns that say nothing about any scan are left out, and so is a table without columns.
    """
    cells = {title: [text(scan) for scan in scans] for title, text in COLUMNS.items()}
    columns = {title: texts for title, texts in cells.items() if any(texts)}
    if not columns:
        return ""
    head = "".join(f"<th>{title}</th>" for title in ("scan", *columns))
    rows = []
    for place, scan in enumerate(scans, start=1):
        name = f'{place}. <a href="#scan-{place}">{html.escape(scan.case)}</a>'
        body = "".join(_cell(title, texts[place - 1]) for title, texts in columns.items())
        rows.append(f"<tr><td>{name}</td>{body}</tr>")
    return (
        f'<table class="cards">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>"
    )


def _cell(title: str, text: str) -> str:
    return f'<td data-title="{title}">{html.escape(text)}</td>' if text else "<td></td>"


def _reasons(scan: ScanToLook) -> list[str]:
    """Return why a person should look at a scan."""
    lower = "lower than validation cases" if scan.is_worse else ""
    return [text for text in (scan.failure, lower, *scan.flags) if text]


def _section(title: str, scans: Sequence[ScanToLook], start: int) -> list[str]:
    if not scans:
        return []
    items = "\n".join(
        f'<li id="scan-{place}">{_item(scan)}</li>' for place, scan in enumerate(scans, start)
    )
    return [f"<h2>{title}</h2>", f'<ol start="{start}">\n{items}\n</ol>']


def _item(scan: ScanToLook) -> str:
    lines = [f"<b>{html.escape(scan.case)}</b> {html.escape(_dice_text(scan))}"]
    lines += [html.escape(text) for text in (scan.failure, *scan.flags) if text]
    if scan.is_worse:
        lines.append("worse than validation cases, by its expected Dice")
    if scan.preview:
        # The name of a file need not be valid UTF-8; a link has its bytes.
        name = html.escape(urllib.parse.quote(os.fsencode(scan.preview)))
        lines.append(
            f'<a href="{name}"><img src="{name}" loading="lazy" '
            f'alt="Outlines of the labels of {html.escape(scan.case)}"></a>'
        )
    return "<br>".join(lines)


def _dice_text(scan: ScanToLook) -> str:
    """Return the expected Dice in words.

    >>> _dice_text(ScanToLook("a", dice=0.5, error=0.125, usual=0.9, lowest=("liver", 0.25)))
    'expected Dice 0.50, give or take 0.12 (validation cases: 0.90); lowest: liver 0.25'
    """
    if scan.failure:
        return "could not be predicted"
    if scan.dice is None:
        return scan.note or "no expected Dice"
    text = f"expected Dice {scan.dice:.2f}"
    text += f", give or take {scan.error:.2f}" if scan.error is not None else ""
    text += f" (validation cases: {scan.usual:.2f})" if scan.usual is not None else ""
    return text + (f"; lowest: {scan.lowest[0]} {scan.lowest[1]:.2f}" if scan.lowest else "")


def _short_dice(scan: ScanToLook) -> str:
    """Return the expected Dice as it stands in the table.

    >>> _short_dice(ScanToLook("a", dice=0.5, error=0.125, usual=0.9))
    '0.50 \N{PLUS-MINUS SIGN} 0.12 (usual 0.90)'
    """
    if scan.dice is None:
        return scan.note
    text = f"{scan.dice:.2f}"
    text += f" \N{PLUS-MINUS SIGN} {scan.error:.2f}" if scan.error is not None else ""
    return text + (f" (usual {scan.usual:.2f})" if scan.usual is not None else "")


def _label_text(scan: ScanToLook) -> str:
    return f"{scan.lowest[0]} {scan.lowest[1]:.2f}" if scan.lowest else ""


COLUMNS: dict[str, Callable[[ScanToLook], str]] = {
    "expected Dice": _short_dice,
    "lowest label": _label_text,
    "why to look at it": lambda scan: "; ".join(_reasons(scan)),
}
"""Columns of the table, after the name of the scan."""
