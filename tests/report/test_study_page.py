"""Page of a study."""

from __future__ import annotations

from pathlib import Path

from segkit.report.figures import new_figure, save_figure
from segkit.report.study_page import Section, study_page


def test_sections_without_content_are_left_out_and_text_is_escaped(tmp_path: Path) -> None:
    picture = save_figure(new_figure()[0], tmp_path / "figure")
    sections = [
        Section("Empty"),
        Section("Text", ["a < b"], ["one & two"]),
        Section("Table", header=["norm"], rows=[["x<y"]]),
        Section("Pictures", pictures=[(picture, "caption")]),
    ]
    page = study_page("T & T", ["The verdict."], sections)
    assert "<h1>T &amp; T</h1>\n<p>The verdict.</p>" in page
    assert "Empty" not in page
    assert "<h2>Text</h2>\n<p>a &lt; b</p>\n<ul><li>one &amp; two</li></ul>" in page
    assert "<td>x&lt;y</td>" in page
    assert 'src="data:image/png;base64,' in page
