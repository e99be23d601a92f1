"""Tables of the symmetry study: networks and their costs, Dice by pose, by label, failed cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from segkit.evaluation.intervals import Interval, ends_text
from segkit.plans.symmetry import SYMMETRIES
from segkit.report.tables import Cell
from segkit.studies.symmetry.cell import ERROR, SECONDS
from segkit.studies.symmetry.plans import StudyPlans, is_matched
from segkit.studies.symmetry.settings import Arm
from segkit.studies.symmetry.summary import POSES, WORDS, Line, Results
from segkit.studies.symmetry.verdicts import COUNTS

Table = tuple[list[str], list[list[Cell]]]


def network_facts(plans: StudyPlans, results: Results) -> list[dict[str, Any]]:
    """Return widths, counts and measured time of the network of every arm, in JSON types."""
    return [_facts(arm, plans, results) for arm in results.settings.arms]


def _facts(arm: Arm, plans: StudyPlans, results: Results) -> dict[str, Any]:
    cost, reference = plans.cost(arm), plans.cost(Arm("plain"))
    seconds = results.measured(arm, SECONDS)
    groups = (arm.symmetry,) if arm.symmetry else results.settings.symmetries
    errors = {group: results.measured(arm, ERROR, group) for group in groups}
    return {
        "group": arm.symmetry,
        "arm": arm.kind,
        "widths": list(plans.widths(arm)),
        "multiply_adds": cost.multiply_adds,
        "multiply_adds_ratio": cost.multiply_adds / reference.multiply_adds,
        "parameters": cost.parameters,
        "parameters_ratio": cost.parameters / reference.parameters,
        "seconds_per_step": median(seconds) if seconds else None,
        "equivariance_error": {group: max(found) for group, found in errors.items() if found},
    }


def network_table(facts: Sequence[Mapping[str, Any]]) -> Table:
    """Return the networks with their counts, and how far they are from those of the plain one."""
    header = ["group", "network", "channels", "multiply-adds, million", "of plain"]
    header += ["parameters", "of plain", "seconds per step"]
    return header, [
        [
            one["group"] or "-",
            WORDS[one["arm"]],
            ", ".join(map(str, one["widths"])),
            round(one["multiply_adds"] / 1e6),
            f"{one['multiply_adds_ratio']:.2f}",
            one["parameters"],
            f"{one['parameters_ratio']:.2f}",
            one["seconds_per_step"],
        ]
        for one in facts
    ]


def match_sentences(plans: StudyPlans) -> list[str]:
    """Return how far each equivariant network is from its match."""
    return [
        f"{arm.symmetry}, by {COUNTS[arm.kind]}: {plans.ratio(arm):.3f} of the plain network's."
        + ("" if is_matched(plans.ratio(arm)) else " No nearer widths found: this is no match.")
        for arm in plans.arms
        if arm.is_equivariant
    ]


def error_table(facts: Sequence[Mapping[str, Any]]) -> Table:
    """Return the largest equivariance error of every arm, in float32."""
    return ["group", "network", "largest error"], [
        [group, WORDS[one["arm"]], f"{error:.2g}"]
        for one in facts
        for group, error in one["equivariance_error"].items()
    ]


def dice_table(results: Results, group: str) -> Table:
    """Return Dice of every line and number of training cases in each kind of pose."""
    header = ["network", "training cases", "predictions", *_POSE_COLUMNS, "cases", "seeds"]
    rows: list[list[Cell]] = []
    for line in results.lines(group):
        times = SYMMETRIES[group].order if line.averaged else 1
        for count in results.counts:
            found = _in_all_poses(results, line, count, group)
            if first := found[0]:
                sizes = (first.cases, first.seeds)
                rows.append([line.words, count, times, *_numbers(found), *sizes])
    return header, rows


def label_table(results: Results, group: str) -> Table:
    """Return Dice of every label, line and number of training cases in each kind of pose."""
    header = ["label", "network", "training cases", *_POSE_COLUMNS]
    return header, [
        [label, line.words, count, *_numbers(found)]
        for label in results.labels()
        for line in results.lines(group)
        for count in results.counts
        if any(found := _in_all_poses(results, line, count, group, label))
    ]


_POSE_COLUMNS = [column for pose in POSES for column in (pose, "95 % interval")]


def _in_all_poses(
    results: Results, line: Line, count: int, group: str, label: str | None = None
) -> list[Interval | None]:
    """Return the interval of every kind of pose, None where nothing was measured.

    A label that no map has, neither the reference nor the prediction, has no Dice. It may have one
    in the canonical pose, where the prediction has it, and none in the mean over all poses.
    """
    return [results.interval(line, count, group, pose, label) for pose in POSES]


def _numbers(found: Sequence[Interval | None]) -> list[Cell]:
    return [cell for one in found for cell in ((one.mean, ends_text(one)) if one else (None, None))]
