"""Verdicts, tables and the figure of results that are made up."""

from __future__ import annotations

import random
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.studies.cells import CellResult, Row, StudyCell
from segkit.studies.scaling.budget import Budget
from segkit.studies.scaling.candidate import Frame
from segkit.studies.scaling.compound import exponents
from segkit.studies.scaling.costs import Mode
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.figures import lines_of, write_figures
from segkit.studies.scaling.members import Member, Missing, members_of
from segkit.studies.scaling.outputs import machine_warnings
from segkit.studies.scaling.pareto import pareto_front
from segkit.studies.scaling.summary import Found, comparisons, front_of, headline, summary_of
from segkit.studies.scaling.tables import cost_table, family_rows, train_command

SIZES, WAYS = ["S", "XL"], ["compound", "width", "flat"]
BETTER = {("compound", "XL"): 0.9, ("width", "XL"): 0.8, ("flat", "XL"): 0.9}
"""Mean Dice of the networks; all others have 0.7."""


@pytest.fixture(scope="module")
def members(frame: Frame) -> list[Member]:
    return members_of(Family(frame, exponents(3), Mode()), Budget(macs=5e9), SIZES, WAYS)[0]


def results_of(members: list[Member], dice: Mapping[tuple[str, str], float]) -> list[CellResult]:
    """Return the costs of every network, and its Dice with two seeds on six cases."""
    found: dict[str, CellResult] = {}
    for member in members:
        network = member.candidate.name
        mean = dice.get((member.way, member.size), 0.7)
        for seed in (0, 1):
            rows: list[Row] = [
                {
                    "measure": "dice",
                    "value": mean + 0.001 * number,
                    "case": f"case{number}",
                    "label": label,
                }
                for number in range(6)
                for label in ("a", "b")
            ]
            cell = StudyCell(f"{network}-{seed}", {"network": network, "seed": seed}, {}, _unused)
            found[cell.name] = CellResult(cell, "done", {"results": rows})
        costs: list[Row] = [
            {"measure": "memory", "value": 2.0 * member.cost.kept_bytes},
            {"measure": "step_seconds", "value": member.cost.multiply_adds / 1e9},
            {"measure": "seconds", "value": member.cost.multiply_adds / 1e10},
        ]
        cell = StudyCell(f"{network}-costs", {"network": network, "seed": None}, {}, _unused)
        found[cell.name] = CellResult(cell, "done", {"results": costs})
    return list(found.values())


def _unused(_folder: Path) -> dict[str, list[Row]]:
    raise AssertionError("finished cells are not run")


@pytest.fixture(scope="module")
def found(members: list[Member]) -> Found:
    return Found(members, [], results_of(members, BETTER), Budget(memory=5e7))


def test_verdicts_follow_from_intervals(found: Found) -> None:
    compared = comparisons(found)
    verdicts = {part.names: part.verdict for part in compared}
    sizes = [(part.a.size, part.a.way, part.b.size, part.b.way) for part in compared]
    assert sizes == [
        ("XL", "compound", "XL", "width"),
        ("XL", "compound", "XL", "flat"),
        ("XL", "compound", "S", "compound"),
    ]
    first, second, third = verdicts.values()
    assert first.startswith("compound at XL is better than width at XL (")
    assert "by 0.100 to 0.100 (6 cases, 2 seeds)" in first
    assert second.startswith("no evidence of a difference between compound at XL and flat at XL")
    assert third.startswith("compound at XL is better than compound at S by 0.200")
    shares = sorted(part.b.share for part in compared[:2])
    assert headline(compared) == [
        f"At equal multiply-adds (the others have {shares[0]:.2f} to {shares[1]:.2f} of them), "
        "compound scaling has a higher Dice than another way in 1 of 2 comparisons and a lower one "
        "in 0; in the rest there is no evidence of a difference.",
        "Compound networks larger than the smallest: of 1, 1 with a higher Dice than it and 0 with "
        "a lower one, beyond chance.",
    ]


def test_without_dice_there_is_no_verdict(members: list[Member]) -> None:
    empty = Found(members, [], [])
    assert headline(comparisons(empty)) == [
        "No two networks have Dice yet that could be compared; costs are below."
    ]
    assert front_of(empty, "memory") == []


def test_the_front_and_what_exceeds_the_budget(found: Found) -> None:
    summary = summary_of(found, comparisons(found))
    # Flat has the Dice of compound; the cheaper one of the two beats the other.
    by_name = {f"{part['size']} {part['way']}": part for part in summary["networks"]}
    best = [
        name for name in ("XL compound", "XL flat") if name in summary["pareto"]["multiply_adds"]
    ]
    cheaper = min(
        ("XL compound", "XL flat"), key=lambda name: by_name[name]["predicted"]["multiply_adds"]
    )
    assert best == [cheaper]
    assert "S compound" in summary["pareto"]["multiply_adds"]
    over = [name for name, part in by_name.items() if part["exceeded"]]
    assert over == [name for name, part in by_name.items() if part["measured"]["memory"] > 5e7]
    assert over
    assert by_name[over[0]]["exceeded"][0].startswith("memory of a training step")


def test_costs_of_different_machines_are_named(members: list[Member]) -> None:
    def measured(*machines: str | None) -> Found:
        cells = [
            StudyCell(f"{name}-costs", {"network": name, "seed": None}, {}, _unused)
            for name in "ab"
        ]
        rows = [[{"measure": "seconds", "value": 1.0, "machine": name}] for name in machines]
        results = [
            CellResult(cell, "done", {"results": row})
            for cell, row in zip(cells, rows, strict=True)
        ]
        return Found(members, [], results)

    assert machine_warnings(measured("chip, 2 threads", "chip, 2 threads")) == []
    (text,) = machine_warnings(measured("chip, 2 threads", None))
    assert "chip, 2 threads (a); a machine that is not recorded (b)" in text
    assert "cells/*-costs.json" in text


def test_the_front_equals_brute_force() -> None:
    draw = random.Random(0)
    for _ in range(50):
        points = [(draw.randrange(6), draw.randrange(6)) for _ in range(8)]
        beaten = {
            number
            for number, (cost, value) in enumerate(points)
            for other_cost, other_value in points
            if other_cost <= cost
            and other_value >= value
            and (other_cost, other_value) != (cost, value)
        }
        assert set(pareto_front(points)) == set(range(8)) - beaten


def test_the_figure_has_a_line_per_way_by_ascending_cost(found: Found, tmp_path: Path) -> None:
    lines = lines_of(found, "memory")
    assert [line.label for line in lines] == ["compound", "width", "flat"]
    assert all(list(line.x) == sorted(line.x) for line in lines)
    ((png, _),) = write_figures(tmp_path, found)
    assert png.stat().st_size > 10_000
    assert png.with_suffix(".svg").is_file()


def test_predicted_and_measured_costs_stand_side_by_side(
    found: Found, members: list[Member]
) -> None:
    header, rows = cost_table(members, found.measured)
    row = dict(zip(header[:5], rows[0][:5], strict=True))
    assert row["multiply-adds of a window"] == f"{members[0].cost.multiply_adds / 1e9:.2f} G"
    assert rows[0][6] == f"{2 * members[0].cost.kept_bytes / 1e6:.3g}"  # measured memory


def test_ways_without_a_network_are_rows_of_the_table(members: list[Member]) -> None:
    header, rows = family_rows(members, [Missing("patch", "XL", "no such patch")])
    last = dict(zip(header, rows[-1], strict=True))
    assert (last["way"], last["size"], last["missing"]) == ("patch", "XL", "no such patch")
    assert all(len(row) == len(header) for row in rows)


def test_a_printed_command_has_what_differs_from_the_defaults(members: list[Member]) -> None:
    config = load(
        ["dataset=my scans", "trainer.optimizer=adamw", "augment.mirror=[0,2]", "compute=cpu"]
    )
    words = shlex.split(train_command(config, 2, members[0]))
    assert words[:3] == ["segkit", "train", "dataset=my scans"]
    assert words[3:-3] == members[0].candidate.overrides
    assert words[-3:] == [
        "trainer.batch_size=2",
        "trainer.optimizer=adamw",
        "augment.mirror=[0,2]",
    ]
    again = load(words[2:])
    assert again.augment == config.augment
    assert again.network.features == list(members[0].candidate.widths)
