"""Self-contained HTML pages, which load nothing from the network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

STYLE = """
body {
  font: 16px/1.5 system-ui, sans-serif;
  max-width: 70rem;
  margin: 2rem auto;
  padding: 0 1rem;
  color: #222;
}
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left; }
th.n { text-align: right; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
th, td.n { white-space: nowrap; }
td { min-width: 4rem; }
body { overflow-wrap: break-word; -webkit-text-size-adjust: 100%; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  th, td { padding: .25rem .5rem; }
  th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
}
thead th { border-bottom: 2px solid #888; }
.phone { display: none; }
@page { size: A4; margin: 15mm; }
@media screen and (max-width: 40rem) {
  .cards, .cards tbody, .cards tr, .cards td { display: block; }
  .cards thead { display: none; }
  .phone { display: block; }
  .cards tr { border: 1px solid #bbb; border-radius: .3rem; padding: .4rem .6rem; }
  .cards tr { margin-bottom: .6rem; }
  .cards td { display: inline-block; border: 0; padding: 0 .9rem 0 0; min-width: 0;
    white-space: normal; text-align: left; overflow-wrap: anywhere; }
  .cards td:empty { display: none; }
  .cards td:first-child { display: block; position: static; font-weight: 600; }
  .cards td[data-title]:not(:first-child)::before { content: attr(data-title) " "; color: #555; }
}
@media print {
  thead { display: table-header-group; }
  tr, figure, li { break-inside: avoid; }
  h1, h2, h3, h2 + p, h3 + p { break-after: avoid; }
  p { orphans: 4; widows: 4; }
}
figure { margin: 1rem 0 1.5rem; }
img { max-width: 100%; height: auto; }
"""


def html_page(title: str, parts: Sequence[str], *, style: str = "") -> str:
    """Return a page as HTML.

    Args:
        title: title as plain text.
        parts: HTML of the body, in order; empty parts are left out.
        style: further CSS.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def paragraph(text: str) -> str:
    """Return a paragraph of escaped text, or "" for an empty one.

    >>> paragraph("x < y")
    '<p>x &lt; y</p>'
    """
    return f"<p>{html.escape(text)}</p>" if text else ""


def bullets(sentences: Sequence[str]) -> str:
    """Return a list of escaped sentences, or "" without any.

    >>> bullets(["x < y"])
    '<ul><li>x &lt; y</li></ul>'
    """
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def picture(png: bytes, caption: str) -> str:
    """Return a PNG embedded into the page, with a caption below it."""
    encoded = base64.b64encode(png).decode("ascii")
    text = html.escape(caption)
    return (
        f'<figure><img src="data:image/png;base64,{encoded}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
