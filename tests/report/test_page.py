"""Tests of the HTML page that all reports share."""

from __future__ import annotations

from segkit.report.page import html_page, paragraph


def test_a_phone_shows_it_at_its_own_width_and_scrolls_wide_tables() -> None:
    page = html_page("A & B", [paragraph("x < y")])
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert (
        "table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }"
        in page
    )
    assert "<title>A &amp; B</title>" in page
    assert "<p>x &lt; y</p>" in page
