"""Order of the scans to look at, and the page about them."""

from __future__ import annotations

import re

from segkit.report.look_first import ScanToLook, in_order, look_first_page

SCANS = [
    ScanToLook("good", dice=0.9, error=0.1, usual=0.9, lowest=("liver", 0.8)),
    ScanToLook("bad", dice=0.2, error=0.1, usual=0.9),
    ScanToLook("unknown"),
    ScanToLook("flagged", dice=0.85, error=0.1, usual=0.9, flags=("voxels of 9 x 9 x 9 mm",)),
    ScanToLook("very_bad", dice=0.1, error=0.1, usual=0.9, flags=("liver: not found",)),
    ScanToLook("broken", failure="x.nii: not a NIfTI file"),
    ScanToLook("fair", dice=0.82, error=0.1, usual=0.9),
]


def test_failures_then_those_to_look_at_then_the_others() -> None:
    names = [scan.case for scan in in_order(SCANS)]
    assert names == ["broken", "very_bad", "bad", "flagged", "fair", "good", "unknown"]
    assert [scan.case for scan in SCANS if scan.is_first] == [
        "bad",
        "flagged",
        "very_bad",
        "broken",
    ]


def test_the_page_says_why() -> None:
    page = look_first_page(SCANS, "It was wrong by 0.1.")
    assert (
        "4 of 7 scans should be looked at: 1 could not be predicted, 2 have a warning, and for 2"
        in page
    )
    assert "x.nii: not a NIfTI file" in page
    assert (
        "expected Dice 0.90, give or take 0.10 (validation cases: 0.90); lowest: liver 0.80" in page
    )
    first, others = page.split("The others, lowest expected Dice first")
    assert "very_bad" in first
    assert '<ol start="5">' in others


def test_a_table_of_all_scans_comes_first_in_the_order_that_the_page_states() -> None:
    page = look_first_page(SCANS, "")
    table, cards = page.split("</table>")
    names = re.findall(r'<td>(\d+)\. <a href="#scan-\1">(\w+)</a></td>', table)
    assert [name for _, name in names] == [scan.case for scan in in_order(SCANS)]
    assert all(f'<li id="scan-{place}"><b>{name}</b>' in cards for place, name in names)
    assert "The order: scans that could not be predicted; then those with a warning or" in table
    row = re.search(r"<tr><td>2\..*", table)
    assert row
    cells = re.findall("<td[^>]*>(.*?)</td>", row[0])
    assert cells[1:] == [
        "0.10 \N{PLUS-MINUS SIGN} 0.10 (usual 0.90)",
        "",
        "lower than validation cases; liver: not found",
    ]
    nothing = look_first_page([ScanToLook("a"), ScanToLook("b")], "")
    assert "The order:" not in nothing
    assert "Usual:" not in nothing
    assert "<table" not in nothing
    only_why = look_first_page([ScanToLook("a", flags=("odd",)), ScanToLook("b")], "")
    assert "<th>scan</th><th>why to look at it</th></tr>" in only_why


def test_scans_within_the_error_are_said_to_be_not_distinguishable() -> None:
    page = look_first_page(SCANS, "")
    said = "2 scans without a warning have an expected Dice within the error of the highest"
    assert f"{said}: they are not distinguishable" in page
    assert "mostly wider than that of scans as they are" in page
    apart = [ScanToLook("a", dice=0.5, error=0.1), ScanToLook("b", dice=0.7, error=0.1)]
    assert "not distinguishable" not in look_first_page(apart, "")


def test_paper_has_small_cards_in_three_columns() -> None:
    page = look_first_page(SCANS, "")
    print_rules = page.split("@media print")[-1]
    assert "grid-template-columns: 1fr 1fr 1fr" in print_rules
    assert "size: A4" in page


def test_names_are_escaped_and_pictures_are_links() -> None:
    page = look_first_page([ScanToLook("<a b>", preview="<a b>_preview.png")], "")
    assert "<b>&lt;a b&gt;</b>" in page
    assert 'src="%3Ca%20b%3E_preview.png" loading="lazy"' in page
    assert "<a b>" not in page.replace("&lt;", "")


def test_nothing_to_look_at_first() -> None:
    page = look_first_page(SCANS[:1], "")
    assert "No scan stands out" in page
    assert "All scans, lowest expected Dice first" in page
    assert "Look at these" not in page


def test_a_preview_whose_name_is_not_utf8_is_a_link() -> None:
    page = look_first_page([ScanToLook("a", preview="a\udcff_preview.png")], "")
    assert 'href="a%FF_preview.png"' in page


def test_scans_without_an_expected_dice_are_counted() -> None:
    scans = [ScanToLook("empty"), ScanToLook("good", dice=0.9), ScanToLook("bad", failure="x")]
    assert "1 have no expected Dice, so nothing orders them." in look_first_page(scans, "")
    assert "no expected Dice" not in look_first_page(scans[1:], "")


def test_scans_that_nothing_orders_are_not_said_to_be_in_order() -> None:
    page = look_first_page([ScanToLook("a"), ScanToLook("b")], "")
    assert "All scans, in no order" in page
    assert "lowest expected Dice first" not in page


def test_a_scan_that_is_expected_to_be_bad_comes_before_a_good_one_with_a_warning() -> None:
    scans = [
        ScanToLook("flagged", dice=0.8, flags=("large voxels",)),
        ScanToLook("bad", dice=0.3, error=0.1, usual=0.9),
        ScanToLook("flagged, unknown", flags=("large voxels",)),
    ]
    assert [scan.case for scan in in_order(scans)] == ["flagged, unknown", "bad", "flagged"]
    page = look_first_page(scans, "")
    assert page.count("worse than validation cases, by its expected Dice") == 1
