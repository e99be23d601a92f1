"""Intervals, comparisons, sentences and page of made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segkit.commands import study_normalization
from segkit.studies.cells import CellResult, Row, StudyCell
from segkit.studies.normalization.figures import write_figures
from segkit.studies.normalization.lines import over_batches
from segkit.studies.normalization.report import dice_table, report_page
from segkit.studies.normalization.settings import NormalizationSettings
from segkit.studies.normalization.summary import (
    Arm,
    comparisons,
    rows_by_arm,
    summary_of,
    values_of,
)
from segkit.studies.normalization.verdicts import gap_sentences, headline

SETTINGS = NormalizationSettings(
    norms=("group", "batch"), batch_sizes=(1, 8), seeds=(0, 1, 2), samples=80
)
STUDY: Any = SimpleNamespace(
    dataset=SimpleNamespace(name="a <b>"), plan=SimpleNamespace(patch=(8, 8, 8))
)


def measured(norm: str, batch_size: int, seed: int, *, dice: float, gap: float = 0) -> CellResult:
    """A cell with ten cases whose two labels have this Dice, up to the case's own deviation."""
    rows: list[Row] = []
    for case in range(10):
        for label, more in (("a", 0.0), ("b", 0.1)):
            of_case: dict[str, Any] = {"case": f"case{case}", "label": label}
            value = dice + more + 0.01 * case + 0.001 * seed * (case % 3)
            rows += [
                {"measure": "dice", "value": value, "overlap": 0.5, **of_case},
                {"measure": "dice", "value": value - 0.2, "overlap": 0.0, **of_case},
                {"measure": "train_eval_gap", "value": gap + 0.001 * (case - 4.5), **of_case}
                if gap
                else {"measure": "train_eval_gap", "value": 0.0, **of_case},
            ]
    rows.append({"measure": "seconds_per_step", "value": 0.5})
    layers: list[Row] = [
        {"measure": "pool", "value": 512, "layer": "x", "batch": 1},
        {"measure": "spread_mean", "value": 0.1, "layer": "x", "batch": 1},
        {"measure": "gradient_norm", "value": 0.1, "layer": "x", "samples": 8},
    ]
    facts: Row = {"norm": norm, "batch_size": batch_size, "seed": seed}
    cell = StudyCell(f"{norm}-{batch_size}-{seed}", facts, {}, lambda _folder: {})
    return CellResult(cell, "done", {"results": rows, "layers": layers})


def study(batch_at_1: float, batch_at_8: float = 0.7, gap: float = 0.0) -> list[CellResult]:
    dice = {
        ("group", 1): 0.7,
        ("group", 8): 0.7,
        ("batch", 1): batch_at_1,
        ("batch", 8): batch_at_8,
    }
    return [
        measured(norm, size, seed, dice=dice[norm, size], gap=gap if norm == "batch" else 0)
        for seed in range(3)
        for norm, size in dice
    ]


def sentences(results: list[CellResult]) -> str:
    return " ".join(headline(SETTINGS, comparisons(SETTINGS, rows_by_arm(results))))


def test_a_value_is_the_mean_over_labels_at_one_overlap() -> None:
    rows = rows_by_arm([measured("group", 1, 0, dice=0.5)])[Arm("group", 1)]
    assert values_of(rows, "dice", overlap=0.5)["case0", 0] == pytest.approx(0.55)
    assert values_of(rows, "dice", label="b", overlap=0.5)["case1", 0] == pytest.approx(0.61)
    assert values_of(rows, "dice", overlap=0.0)["case0", 0] == pytest.approx(0.35)
    assert values_of(rows, "windows") == {}


def test_norms_are_compared_with_the_reference_and_small_batches_with_large_ones() -> None:
    found = comparisons(SETTINGS, rows_by_arm(study(0.6)))
    assert [(str(part.a), str(part.b)) for part in found] == [
        ("batch at batch size 1", "group at batch size 1"),
        ("batch at batch size 8", "group at batch size 8"),
        ("group at batch size 1", "group at batch size 8"),
        ("batch at batch size 1", "batch at batch size 8"),
    ]
    assert [part.difference and round(part.difference.mean, 3) for part in found] == [
        -0.1,
        0.0,
        0.0,
        -0.1,
    ]
    assert found[0].difference is not None
    assert found[0].difference.level == pytest.approx(1 - 0.05 / 4)


@pytest.mark.parametrize(
    ("batch_at_1", "batch_at_8", "expected"),
    [
        (
            0.6,
            0.7,
            ("BatchNorm has a lower Dice than group by 0.100", "BatchNorm loses Dice by 0.1"),
        ),
        (
            0.8,
            0.7,
            ("BatchNorm has a higher Dice than group by 0.100", "BatchNorm gains Dice by 0"),
        ),
        (
            0.7,
            0.7,
            ("no evidence that BatchNorm and group differ", "no evidence that BatchNorm los"),
        ),
    ],
)
def test_the_answer_follows_from_the_intervals_in_either_direction(
    batch_at_1: float, batch_at_8: float, expected: tuple[str, str]
) -> None:
    text = sentences(study(batch_at_1, batch_at_8))
    assert all(part in text for part in expected)
    # The loss depends on the batch size as well: group norm shows by how much.
    assert "Without statistics of the batch: no evidence of a difference between group at" in text


def test_without_batch_norm_the_answer_is_about_the_others() -> None:
    settings = NormalizationSettings(norms=("group",), batch_sizes=(1, 8), samples=80)
    found = comparisons(settings, rows_by_arm(study(0.7)))
    assert headline(settings, found) == [
        "There is no evidence that any of the norms and batch sizes that were compared differ."
    ]
    alone = NormalizationSettings(norms=("group",), batch_sizes=(8,), samples=80)
    assert headline(alone, []) == [
        "There is nothing to compare: give several norms or batch sizes."
    ]
    started = comparisons(settings, rows_by_arm([measured("group", 1, 0, dice=0.7)]))
    assert headline(settings, started) == [
        "Nothing can be compared yet: no two cells of a comparison have results."
    ]


def test_a_difference_with_one_seed_has_a_reservation() -> None:
    settings = NormalizationSettings(("group", "batch"), (1, 8), (0,), samples=80)
    results = [result for result in study(0.6) if result.cell.facts["seed"] == 0]
    told = headline(settings, comparisons(settings, rows_by_arm(results)))
    assert told[0].startswith("At batch size 1, on this data, BatchNorm has a lower Dice than gro")
    assert told[-1].startswith("With one seed a difference may be due to chance in two trainings")
    assert not any("With one seed" in sentence for sentence in sentences(study(0.6)).split("."))


def test_arms_that_failed_cannot_be_compared() -> None:
    results = [result for result in study(0.6) if result.cell.facts["norm"] == "group"]
    assert "batch and group cannot be compared" in sentences(results)


@pytest.mark.parametrize(
    ("gap", "text"), [(0.02, "raise Dice by 0.0200"), (-0.02, "lower Dice by 0.0200")]
)
def test_the_gap_of_batch_norm_is_told_and_that_of_group_norm_is_not(gap: float, text: str) -> None:
    told = gap_sentences(study(0.7, gap=gap))
    assert [sentence.split(":")[0] for sentence in told] == [
        "batch at batch size 1",
        "batch at batch size 8",
    ]
    assert text in told[0]


def test_the_summary_has_every_arm_and_every_failure() -> None:
    cell = StudyCell("bad", {"norm": "batch", "batch_size": 8, "seed": 9}, {}, lambda _folder: {})
    results = [*study(0.6), CellResult(cell, "out of memory", message="8 GB")]
    found = comparisons(SETTINGS, rows_by_arm(results))
    summary = json.loads(json.dumps(summary_of(SETTINGS, results, found), allow_nan=False))
    assert [(arm["norm"], arm["batch_size"]) for arm in summary["arms"]] == [
        ("group", 1),
        ("group", 8),
        ("batch", 1),
        ("batch", 8),
    ]
    first = summary["arms"][0]
    assert first["dice"]["mean"] == pytest.approx(0.796, abs=0.001)
    assert (first["dice"]["cases"], first["dice"]["seeds"]) == (10, 3)
    assert sorted(first["dice_by_label"]) == ["a", "b"]
    assert first["dice_by_overlap"]["0"]["mean"] == pytest.approx(0.596, abs=0.001)
    assert first["seconds_per_step"] == 0.5
    assert summary["failed"] == [{"cell": "bad", "status": "out of memory", "message": "8 GB"}]


def test_a_single_case_has_no_interval() -> None:
    def single(result: CellResult) -> CellResult:
        rows = [row for row in result.rows() if row.get("case") in (None, "case9")]
        return CellResult(result.cell, "done", {"results": rows})

    results = [single(result) for result in study(0.6, gap=0.02)]
    rows = rows_by_arm(results)
    assert {row[3] for row in dice_table(SETTINGS, rows)[1]} == {"one case cannot tell"}
    assert gap_sentences(results)[0].endswith("change Dice (one case cannot tell).")
    for line in over_batches(SETTINGS, rows, lambda found: values_of(found, "dice", overlap=0.5)):
        assert line.low == line.high == line.y
    summary = summary_of(SETTINGS, results, comparisons(SETTINGS, rows))
    table = study_normalization.summary_lines({**summary, "verdict": []})[0]
    assert table.splitlines()[1].split()[:5] == ["group", "1", "0.8400", "-", "-"]


def test_the_page_has_verdict_tables_and_figures(tmp_path: Path) -> None:
    memory = CellResult(
        StudyCell("m", {"norm": "group", "batch_size": None, "seed": None}, {}, lambda _folder: {}),
        "done",
        {"results": [{"measure": "largest_width", "value": 48, "batch": 1}]},
    )
    results = [*study(0.6), memory]
    pictures = write_figures(tmp_path, SETTINGS, results)
    names = [path.name for path, _ in pictures]
    assert names == ["dice.png", "train_eval_gap.png", "overlap.png", "gradients.png",
                     "bottleneck.png", "cost.png"]  # fmt: skip
    assert all((tmp_path / name).with_suffix(".svg").is_file() for name in names)
    found = comparisons(SETTINGS, rows_by_arm(results))
    page = report_page(STUDY, SETTINGS, results, found, pictures, cells=14)
    assert page.count("<img") == 6
    assert "Normalization on a &lt;b&gt;" in page
    assert "BatchNorm has a lower Dice than group by" in page
    assert "all take the same 10 optimizer steps" in page
    assert ">batch</td>" in page
    assert ">48</td>" in page
    assert "13 of 14 cells have results." in page  # it was stopped
    assert "Cells without results" not in page
    assert "http" not in page
