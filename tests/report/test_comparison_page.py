"""The page of a comparison: pictures, what its findings mean, and other metrics."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.evaluation.compare import Comparison, compare
from segkit.evaluation.pairs import find_pairs
from segkit.io import write_labels
from segkit.io.scans import write_image
from segkit.report.comparison_page import write_comparison
from segkit.report.comparison_words import about_other_metrics, corrections, explained
from segkit.report.evaluation.drawn_case import read_drawn_change
from segkit.report.evaluation_page import ReportOptions
from segkit.volume import Volume

SHAPE = (1, 12, 12, 6)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def bar(folder: Path, case: str, voxels: int, *, affine: Any = AFFINE) -> None:
    """Write a label map with a bar of 1 along X."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 1 : 1 + voxels, 4:8, 2:4] = 1
    write_labels(folder / f"{case}.nii.gz", Volume(labels, affine))


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Three cases: B is better in c0, worse in c1, and equal in c2."""
    for number, (a, b) in enumerate(((4, 6), (5, 2), (5, 5))):
        for folder, voxels in (("a", a), ("b", b), ("r", 8)):
            bar(tmp_path / folder, f"c{number}", voxels)
        ramp = np.broadcast_to(np.arange(12.0, dtype=np.float32)[None, :, None, None], SHAPE)
        write_image(tmp_path / "scans" / f"c{number}.nii.gz", Volume(ramp, AFFINE))
    return compare(tmp_path / "a", tmp_path / "b", tmp_path / "r", labels={"liver": 1})


def page_of(comparison: Comparison, folder: Path, **options: Any) -> str:
    return write_comparison(comparison, folder, ReportOptions(**options))[2].read_text()


def test_the_cases_that_changed_are_drawn_on_their_scans(
    comparison: Comparison, tmp_path: Path
) -> None:
    text = page_of(comparison, tmp_path / "out", scans=tmp_path / "scans")
    assert text.count("data:image/png") == 2  # c2 did not change
    # Dice of 2 of 8 parts is 4 / 10, of 5 it is 10 / 13.
    assert "c1: liver Dice 0.769 with A, 0.400 with B (-0.369)." in text
    assert text.index("c1: liver Dice") < text.index("c0: liver Dice")
    assert "plain ground" not in text
    one = page_of(comparison, tmp_path / "out", scans=tmp_path / "scans", pictures=1)
    assert one.count("data:image/png") == 1
    none = page_of(comparison, tmp_path / "out", pictures=0)
    assert "Cases that changed most" not in none


def test_without_scans_the_ground_is_plain(comparison: Comparison, tmp_path: Path) -> None:
    assert page_of(comparison, tmp_path / "out").count("It is drawn on plain ground") >= 2


def test_a_prediction_that_is_gone_is_said(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "b" / "c1.nii.gz").unlink()
    text = page_of(comparison, tmp_path / "out")
    assert "c1 cannot be drawn" in text
    assert text.count("data:image/png") == 1


def test_predictions_on_two_grids_are_not_drawn_beside_each_other(
    comparison: Comparison, tmp_path: Path
) -> None:
    for folder in ("b2", "r2"):
        bar(tmp_path / folder, "c0", 4, affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    other = find_pairs(tmp_path / "b2", tmp_path / "r2")
    both = (comparison.pairs[0].pairs[0], other.pairs[0])
    with pytest.raises(InputError, match=r"expected the grid of .*c0\.nii\.gz, found another one"):
        read_drawn_change(both, (comparison.pairs[0], other), None)


def result(metric: str, finding: str, together: str, tests: int = 1) -> dict[str, Any]:
    corrected = {"tests": tests, "together": together}
    return {
        "metric": metric,
        "label": "mean",
        "finding": finding,
        "p": 0.01,
        "p_corrected_for": corrected,
    }


RESULTS = [
    result("dice", "no evidence", "main"),
    result("hd95_mm", "B better", "other metrics", 2),
    result("assd_mm", "unclear", "other metrics", 2),
]


def test_other_metrics_do_not_turn_the_verdict_around() -> None:
    summary = {"results": RESULTS, "names": {"a": "old", "b": "new"}}
    (sentence,) = about_other_metrics(summary)
    assert sentence.startswith("After the correction, B (new) is better in hd95_mm. The verdict at")
    assert "report also that Dice was compared first, without such a finding" in sentence
    better = [result("dice", "A better", "main"), *RESULTS[1:]]
    (sentence,) = about_other_metrics({**summary, "results": better})
    assert "report also" not in sentence
    nothing = [RESULTS[0], RESULTS[2]]
    (sentence,) = about_other_metrics({**summary, "results": nothing})
    assert sentence.startswith("After the correction, none of them shows a difference.")
    assert about_other_metrics({**summary, "results": RESULTS[:1]}) == []


def test_each_table_says_which_p_values_are_corrected() -> None:
    assert corrections(RESULTS) == (
        "p is corrected by Holm's method (other metrics: for 2 tests; dice: the main result, not"
        " corrected)."
        " Intervals are not corrected."
    )
    alone = corrections([result("iou", "no evidence", "other metrics")])
    assert "(other metrics: a single test, not corrected)" in alone
    assert "(mean: the main result, not corrected)" in corrections(RESULTS[:1])
    assert corrections([{**RESULTS[0], "p": None}]) == ""


def test_a_finding_is_explained_where_it_occurs_first() -> None:
    said: set[str] = set()
    assert [text.partition(":")[0] for text in explained(RESULTS[:1], said)] == ["no evidence"]
    assert [text.partition(":")[0] for text in explained(RESULTS, said)] == ["better", "unclear"]
    assert explained(RESULTS, said) == []
    assert explained([result("dice", "hint: A", "main")], said)[0].startswith("hint: the interval")


def test_the_page_explains_few_cases_below_the_first_table(
    comparison: Comparison, tmp_path: Path
) -> None:
    text = html.unescape(page_of(comparison, tmp_path / "out"))
    words = "too few: fewer than 6 cases or patients"
    assert text.count(words) == 1
    assert text.index("<h2>dice</h2>") < text.index(words) < text.index("<h2>All metrics")
    assert "All metrics, liver" in text
