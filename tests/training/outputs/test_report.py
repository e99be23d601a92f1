"""report.html of a run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.report.training_page import CasePicture
from segkit.training.outputs.gallery import Gallery
from segkit.training.outputs.report import RunReport
from segkit.training.time_budget import PREPARING, STEPS, Timing
from segkit.training.validation import ValidationScore

SCORE = ValidationScore(
    {"low": 0.8, "high": 0.6}, 3, {"b": {"low": 0.7, "high": 0.6}, "<a>": {"low": 0.9}, "empty": {}}
)


def written(
    folder: Path, plan: Plan, score: ValidationScore | None, gallery: Gallery, score_step: int = 8
) -> str:
    timing = Timing(before=100.0, parts={PREPARING: 20.0, STEPS: 60.0}, waiting=3.0)
    (folder / "progress.png").write_bytes(b"curve")
    RunReport(plan, timing, ComputeMode("float32", "contiguous"), steps=8, device="cpu").write(
        folder, score, score_step, gallery
    )
    return (folder / "report.html").read_text()


def cells(page: str) -> list[list[str]]:
    """The rows of all tables."""
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_the_page_shows_the_results(plan_for_balls: Plan, tmp_path: Path) -> None:
    page = written(tmp_path, plan_for_balls, SCORE, Gallery(plan_for_balls))
    rows = cells(page)
    # Cases' means are 0.65 and 0.9: s = 0.25 / sqrt(2), t(1) = 12.71, over sqrt(2).
    assert ["validation Dice", "0.700 ± 1.588, the mean over 2 labels and 3 cases"] in rows
    assert ["length", "8 steps in 1 min 40 s"] in rows
    assert ["a step", "7.5 s, of which 5.0% waiting for patches"] in rows
    assert ["low", "2", "0.8000", "1.2706", "0.7000", "0.9000"] in rows
    assert ["high", "1", "0.6000", "-", "0.6000", "0.6000"] in rows
    assert rows.index(["b", "0.6500", "0.7000", "0.6000"]) < rows.index(
        ["&lt;a&gt;", "0.9000", "0.9000", "-"]
    )
    assert ["training steps", "1 min 0 s", "60.0%"] in rows
    assert ["start, planning and the rest", "20 s", "20.0%"] in rows
    assert ["network", "unet", plan_for_balls.reasons["network"]] in rows
    assert "data:image/png;base64,Y3VydmU=" in page


def test_the_page_loads_nothing_and_is_closed(plan_for_balls: Plan, tmp_path: Path) -> None:
    page = written(tmp_path, plan_for_balls, SCORE, Gallery(plan_for_balls))
    assert not re.search(r"(src|href)=\"(?!data:)|<script|https?://|@import", page)
    open_tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, _attributes: object) -> None:
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Parser().feed(page)
    assert open_tags == []


def test_a_missing_or_earlier_validation_is_reported(plan_for_balls: Plan, tmp_path: Path) -> None:
    early = written(tmp_path, plan_for_balls, SCORE, Gallery(plan_for_balls), score_step=4)
    assert "3 cases, at step 4: there was no time for it at the end" in early
    page = written(tmp_path, plan_for_balls, None, Gallery(plan_for_balls))
    assert ["validation Dice", "not measured"] in cells(page)
    assert "Dice per label" not in page


@pytest.mark.parametrize(
    ("count", "headings"),
    [
        (4, ["Worst validation cases", "Best validation cases"]),
        (3, ["Validation cases, worst first"]),
        (0, []),
    ],
)
def test_pictures_stand_under_headings(
    count: int, headings: list[str], plan_for_balls: Plan, tmp_path: Path
) -> None:
    shown = [CasePicture(f"case {n}", n / 10, {"low": n / 10}, b"png") for n in range(count)]
    page = written(tmp_path, plan_for_balls, SCORE, Gallery(plan_for_balls, shown))
    found = re.findall(r"<h2>([^<]*validation cases[^<]*)</h2>", page, re.IGNORECASE)
    assert found == headings
    order = re.findall(r"<figcaption>case (\d)", page)
    assert order == (["0", "1", "3", "2"] if count == 4 else ["0", "1", "2"][:count])


def test_a_caption_names_the_lowest_of_many_labels() -> None:
    many = CasePicture("a", 0.5, {f"l{n}": n / 10 for n in range(6)}, b"")
    assert many.caption() == "a: Dice 0.500 (lowest: l0 0.000, l1 0.100, l2 0.200, l3 0.300)"
    assert CasePicture("a", 0.5, {"liver": 0.5}, b"").caption() == "a: Dice 0.500"
    assert (
        CasePicture("a", 0.5, {"x": 0.6, "y": 0.4}, b"").caption()
        == "a: Dice 0.500 (y 0.400, x 0.600)"
    )
