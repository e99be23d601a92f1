"""What the summary makes of Dice in all poses, and the sentences that follow from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.config.schema import NetworkConfig
from segkit.plans.plan import SymmetryPlan
from segkit.plans.plan_file import read_plan
from segkit.report.tables import Cell
from segkit.studies.cells import CellResult, Row, StudyCell
from segkit.studies.failed_cells import failed_table
from segkit.studies.symmetry.figures import write_figures
from segkit.studies.symmetry.matching import with_network
from segkit.studies.symmetry.plans import StudyPlans
from segkit.studies.symmetry.settings import Arm, SymmetrySettings
from segkit.studies.symmetry.study import mismatches
from segkit.studies.symmetry.summary import Line, Results
from segkit.studies.symmetry.tables import (
    dice_table,
    label_table,
    match_sentences,
)
from segkit.studies.symmetry.verdicts import headline

PLAIN = Arm("plain")
GROUP = "mirror"
SETTINGS = SymmetrySettings((GROUP,), ("multiply_adds",), seeds=(0, 1, 2))
PLAN = read_plan(Path(__file__).parents[2] / "data" / "plan_v1.json")
PLANS = StudyPlans(dict.fromkeys(SETTINGS.arms, PLAN), {GROUP: SymmetryPlan(GROUP, (0,))}, ())
CASES, SEEDS = ("a", "b", "c", "d"), (0, 1, 2)


def cell(arm: Arm, count: int, seed: int, rows: list[Row]) -> CellResult:
    facts: Row = {"symmetry": arm.symmetry, "arm": arm.kind, "training_cases": count, "seed": seed}
    made = StudyCell(f"{arm.name}{count}{seed}", facts, {}, lambda _folder: {})
    return CellResult(made, "done", {"results": rows})


def dice(case: str, pose: str | None, values: Mapping[str, float]) -> list[Row]:
    measure, more = ("dice", {"pose": pose}) if pose else ("dice_averaged", {})
    return [
        {"measure": measure, "case": case, "label": label, "value": value, **more}
        for label, value in values.items()
    ]


def results_of(make: Callable[[Arm, int, int, str], list[Row]]) -> Results:
    """Return results of all arms at 4 and 16 cases, with rows for each (arm, count, seed, case)."""
    found = [
        cell(arm, count, seed, [row for case in CASES for row in make(arm, count, seed, case)])
        for arm in SETTINGS.arms
        for count in (4, 16)
        for seed in SEEDS
    ]
    return Results(SETTINGS, PLANS, found)


def test_canonical_mean_and_worst_pose_of_a_case() -> None:
    rows = [
        *dice("a", "(x,y,z)", {"low": 0.8, "high": 0.6}),
        *dice("a", "(-x,y,z)", {"low": 0.2, "high": 0.6}),
        *dice("a", "(-y,x,z)", {"low": 0.0, "high": 0.0}),  # not an element of the group
    ]
    results = Results(SETTINGS, PLANS, [cell(PLAIN, 4, 0, rows)])

    def value(pose: str, label: str | None = None) -> float:
        return results.values(Line(PLAIN), 4, GROUP, pose, label)["a", 0]  # type: ignore[arg-type]

    assert value("canonical") == pytest.approx(0.7)
    assert value("mean") == pytest.approx(0.55)
    assert value("worst") == pytest.approx(0.4)
    assert [value(pose, "low") for pose in ("canonical", "mean", "worst")] == [0.8, 0.5, 0.2]


def two_poses(arm: Arm, canonical: float, moved: float, case: str) -> list[Row]:
    rows = [
        *dice(case, "(x,y,z)", {"low": canonical}),
        *dice(case, "(-x,y,z)", {"low": moved}),
    ]
    return [*rows, *dice(case, None, {"low": canonical})] if arm.kind == "augmented" else rows


def test_the_verdict_names_the_plain_network_where_it_is_better() -> None:
    def make(arm: Arm, count: int, seed: int, case: str) -> list[Row]:
        noise = 0.001 * (CASES.index(case) + seed)
        if arm == PLAIN:
            return two_poses(arm, 0.8, 0.3, case)
        # Worse in the canonical pose with 16 cases only, and better in the other one.
        lower = 0.1 + noise if count == 16 else noise - 0.002
        return two_poses(arm, 0.8 - lower, 0.75, case)

    first, second = headline(results_of(make))
    assert first.startswith("mirror with about as many multiply-adds, against the plain network: ")
    canonical, mean, worst = first.split(": ")[1].split("; in the ")
    assert "in the canonical pose, the plain network is better with 16 training cases by" in first
    assert canonical.endswith("no evidence of a difference with 4 training cases")
    assert "the equivariant one is better with 4 training cases by" in mean
    assert "and with 16 training cases by" in worst
    assert "against the augmented, averaged one: " in second
    assert "in the canonical pose, no evidence of a difference with 4, 16 training cases" in second


def test_with_one_seed_a_certain_difference_has_a_reservation() -> None:
    settings = SymmetrySettings((GROUP,), ("multiply_adds",), seeds=(0,))
    found = [
        cell(arm, 4, 0, [row for case in CASES for row in two_poses(arm, value, value, case)])
        for arm, value in zip(settings.arms, (0.5, 0.5, 0.75), strict=True)
    ]
    assert headline(Results(settings, PLANS, found))[-1].startswith("With one seed a difference")


def test_one_measured_case_cannot_tell() -> None:
    values = (0.1, 0.1, 0.9)
    found = [
        cell(arm, 4, 0, two_poses(arm, value, value, "a"))
        for arm, value in zip(SETTINGS.arms, values, strict=True)
    ]
    sentences = headline(Results(SETTINGS, PLANS, found))
    words = "no evidence of a difference with 4 training cases (measured on one case, which cannot"
    assert len(sentences) == 2
    assert all(words in one for one in sentences)


def test_without_any_cell_nothing_can_be_compared() -> None:
    sentences = headline(Results(SETTINGS, PLANS, []))
    assert len(sentences) == 2
    assert all("in all kinds of poses, nothing can be compared yet." in one for one in sentences)


def test_tables_and_the_figure_have_every_network(tmp_path: Path) -> None:
    results = results_of(lambda arm, _count, _seed, case: two_poses(arm, 0.5, 0.25, case))
    header, rows = dice_table(results, GROUP)
    names = ["plain", "augmented", "augmented and averaged", "equivariant, by multiply-adds"]
    assert [row[0] for row in rows[::2]] == names
    assert [row[header.index("predictions")] for row in rows[::2]] == [1, 1, 2, 1]
    plain = dict(zip(header, rows[0], strict=True))
    assert (plain["canonical"], plain["mean"], plain["worst"]) == (0.5, 0.375, 0.25)
    assert (plain["cases"], plain["seeds"]) == (4, 3)
    assert len(label_table(results, GROUP)[1]) == len(rows)
    ((picture, _),) = write_figures(tmp_path, results)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.with_suffix(".svg").is_file()


def test_a_label_that_only_one_pose_has_leaves_the_other_columns_empty() -> None:
    rows = [*dice("a", "(x,y,z)", {"low": 0.5, "high": 0.0}), *dice("a", "(-x,y,z)", {"low": 0.3})]
    results = Results(SETTINGS, PLANS, [cell(PLAIN, 4, 0, rows)])
    header, ((*_, canonical, _ends, mean, none, worst, _none),) = _of_label(results, "high")
    assert (canonical, mean, none, worst) == (0.0, None, None, None)
    assert len(header) == 9


def _of_label(results: Results, label: str) -> tuple[list[str], list[list[Cell]]]:
    header, rows = label_table(results, GROUP)
    return header, [row for row in rows if row[0] == label]


def test_numbers_of_cases_that_cannot_be_compared_are_named() -> None:
    def make(arm: Arm, count: int, seed: int, case: str) -> list[Row]:
        return two_poses(arm, 0.5, 0.5, case) if (arm, count) != (PLAIN, 16) else []

    first, second = headline(results_of(make))
    assert first.endswith(
        "no evidence of a difference with 4 training cases, nothing to compare with 16 training "
        "cases."
    )
    assert "nothing to compare" not in second


def test_a_network_that_could_not_be_matched_is_called_so() -> None:
    narrow = with_network(PLAN, (4, 4, 4), NetworkConfig("unet"), None)
    plans = StudyPlans({**PLANS.arms, PLAIN: narrow}, PLANS.groups, ())
    assert match_sentences(PLANS) == ["mirror, by multiply-adds: 1.000 of the plain network's."]
    (far,) = match_sentences(plans)
    assert far.endswith("of the plain network's. No nearer widths found: this is no match.")
    (warning,) = mismatches(plans)
    times = re.search(r"mirror has (.+ times) the multiply-adds of the plain", warning)
    assert times
    assert f"mirror with {times[1]} the multiply-adds" in headline(Results(SETTINGS, plans, []))[0]


def test_a_cell_that_failed_is_named_and_counts_nowhere() -> None:
    done = cell(PLAIN, 4, 0, two_poses(PLAIN, 0.5, 0.5, "a"))
    failed = replace(cell(PLAIN, 16, 0, []), status="failed", message="no space")
    assert Results(SETTINGS, PLANS, [done, failed]).counts == [4]
    assert failed_table([done, failed])[1] == [["plain160", "failed", "no space"]]
