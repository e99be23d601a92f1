"""Tests of tables as text and HTML."""

from __future__ import annotations

import math

import pytest

from segkit.report.tables import cell_text, html_table, text_table


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "-"),
        (3, "3"),
        (0.5, "0.5000"),
        (1234.5, "1234"),
        (math.inf, "inf"),
        ("liver", "liver"),
    ],
)
def test_cells(cell, text: str) -> None:
    assert cell_text(cell) == text


def test_a_table_without_rows_is_its_header() -> None:
    assert text_table(["a", "b"], []) == "a  b"


def test_html_is_escaped() -> None:
    assert "<td>&lt;b&gt;</td>" in html_table(["x"], [["<b>"]])


def test_the_title_of_numbers_stands_above_them() -> None:
    table = html_table(["case", "dice"], [["a", 0.5], ["b", None]])
    assert '<th>case</th><th class="n">dice</th>' in table
    assert "<th>dice</th>" in html_table(["case", "dice"], [])


def test_the_cells_of_a_wide_table_hold_their_titles_for_a_phone() -> None:
    wide = html_table(["case", "x<", "", "y"], [["a", 1, 2, None]])
    assert wide.startswith('<table class="cards">')
    assert '<td data-title="case">a</td><td class="n" data-title="x&lt;">1</td>' in wide
    assert '<td class="n">2</td>' in wide  # it has no title
    assert "data-title" not in html_table(["case", "x", "y"], [["a", 1, 2]])
