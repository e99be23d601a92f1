"""Summary of the symmetry study: Dice by pose with intervals, and comparisons with the plain."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from segkit.evaluation.intervals import (
    SHARE,
    SHARE_DIFFERENCE,
    Interval,
    Values,
    mean_interval,
    paired_difference,
    shared_level,
)
from segkit.studies.cells import CellResult, Row
from segkit.studies.symmetry.plans import StudyPlans
from segkit.studies.symmetry.poses import AVERAGED, CANONICAL, DICE, pose_name
from segkit.studies.symmetry.settings import Arm, SymmetrySettings

Pose = Literal["canonical", "mean", "worst"]
POSES: Mapping[Pose, str] = {
    "canonical": "in the canonical pose",
    "mean": "in the mean over all poses",
    "worst": "in the worst pose of each scan",
}
"""Ways in which the Dice of all poses becomes one number, in words."""


class Line(NamedTuple):
    """Way of segmenting under comparison, over numbers of training cases."""

    arm: Arm
    averaged: bool = False
    """True for the mean over the predictions in all poses (test-time augmentation)."""

    @property
    def words(self) -> str:
        """Name in tables and legends, without the group."""
        return WORDS[self.arm.kind] + (" and averaged" if self.averaged else "")


WORDS = {
    "plain": "plain",
    "augmented": "augmented",
    "multiply_adds": "equivariant, by multiply-adds",
    "parameters": "equivariant, by parameters",
}
"""Name of each kind of arm."""


@dataclass(frozen=True)
class Question:
    """Equivariant network against another line, in one kind of pose, at every number of cases.

    All its intervals hold together with 95 %.
    """

    arm: Arm
    other: Line
    pose: Pose
    differences: Mapping[int, Interval | None]
    """By number of training cases; None where nothing is paired."""


class Results:
    """Dice of the finished cells, by line, number of training cases and pose."""

    def __init__(
        self, settings: SymmetrySettings, plans: StudyPlans, results: Sequence[CellResult]
    ) -> None:
        self.settings, self.plans = settings, plans
        self._poses = {
            group: [pose_name(element) for element in plans.poses(group)]
            for group in settings.symmetries
        }
        self._intervals: dict[tuple[Line, int, str, Pose, str | None], Interval | None] = {}
        self._rows: dict[tuple[Arm, int], list[Row]] = defaultdict(list)
        for result in results:
            if result.status == "done":
                facts = result.cell.facts
                arm = next(
                    one
                    for one in settings.arms
                    if one.kind == facts["arm"] and one.symmetry == facts["symmetry"]
                )
                self._rows[arm, int(facts["training_cases"] or 0)] += result.rows()
        self.counts = sorted({count for _, count in self._rows})

    def rows(self, arm: Arm, count: int) -> list[Row]:
        """Return the rows of an arm at a number of training cases, of all seeds."""
        return self._rows.get((arm, count), [])

    def lines(self, group: str) -> list[Line]:
        """Return the lines of the figure of a group."""
        arms = [arm for arm in self.settings.arms if arm.symmetry in ("", group)]
        lines = [Line(arm) for arm in arms]
        return [*lines[:2], Line(Arm("augmented", group), averaged=True), *lines[2:]]

    def labels(self) -> list[str]:
        """Return the labels that have a Dice, in order of appearance."""
        rows = (row for found in self._rows.values() for row in found)
        return list(dict.fromkeys(str(row["label"]) for row in rows if row["measure"] == DICE))

    def values(
        self, line: Line, count: int, group: str, pose: Pose, label: str | None = None
    ) -> Values:
        """Return Dice by case and seed, the mean over labels unless one is named.

        Args:
            line: arm, and whether its poses are averaged.
            count: number of training cases.
            group: group whose poses count.
            pose: the scan as it is, or mean or smallest Dice over all elements of the group.
            label: the only label to take.
        """
        if line.averaged:  # alike in all poses, so one was measured
            return _means(self.rows(line.arm, count), AVERAGED, label)
        names = [CANONICAL] if pose == "canonical" else self._poses[group]
        rows = self.rows(line.arm, count)
        by_pose = [_means(rows, DICE, label, name) for name in names]
        reduce = min if pose == "worst" else fmean
        keys = set.intersection(*map(set, by_pose))
        return {key: reduce([values[key] for values in by_pose]) for key in sorted(keys)}

    def interval(
        self, line: Line, count: int, group: str, pose: Pose, label: str | None = None
    ) -> Interval | None:
        """Return the mean of `values` with its 95 % interval; None without any value."""
        key = (line, count, group, pose, label)
        if key not in self._intervals:  # figures, tables and summary show the same ones
            self._intervals[key] = mean_interval(self.values(*key), limits=SHARE)
        return self._intervals[key]

    def measured(self, arm: Arm, measure: str, group: str = "") -> list[float]:
        """Return a measure of all trainings of an arm."""
        return [
            float(row["value"])
            for (own, _), rows in self._rows.items()
            for row in rows
            if own == arm
            and row["measure"] == measure
            and row["value"] is not None
            and row.get("group", "") == group
        ]

    def questions(self) -> list[Question]:
        """Return every comparison of an equivariant network with plain and augmented ones."""
        return [
            Question(arm, other, pose, self._differences(arm, other, pose))
            for arm in self.settings.arms
            if arm.is_equivariant
            for other in (Line(Arm("plain")), Line(Arm("augmented", arm.symmetry), averaged=True))
            for pose in POSES
        ]

    def _differences(self, arm: Arm, other: Line, pose: Pose) -> dict[int, Interval | None]:
        level = shared_level(len(self.counts))
        return {
            count: paired_difference(
                self.values(Line(arm), count, arm.symmetry, pose),
                self.values(other, count, arm.symmetry, pose),
                level=level,
                limits=SHARE_DIFFERENCE,
            )
            for count in self.counts
        }


def _means(
    rows: Sequence[Row], measure: str, label: str | None, pose: str | None = None
) -> dict[tuple[str, int], float]:
    """Return a measure by case and seed, the mean over labels unless one is named."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        fits = row["measure"] == measure and row.get("pose") == pose
        if fits and row["value"] is not None and label in (None, row["label"]):
            found[str(row["case"]), int(row["seed"] or 0)].append(float(row["value"]))
    return {key: fmean(values) for key, values in found.items()}


def dice_summary(results: Results) -> Iterator[dict[str, object]]:
    """Yield Dice with intervals of every group, line, number of cases, pose and label.

    The label is empty for the mean over labels.
    """
    for group in results.settings.symmetries:
        for line in results.lines(group):
            for count in results.counts:
                for pose in POSES:
                    for label in (None, *results.labels()):
                        interval = results.interval(line, count, group, pose, label)
                        if interval:
                            yield {
                                "group": group,
                                "line": line.words,
                                "training_cases": count,
                                "pose": pose,
                                "label": label or "",
                                **dataclasses.asdict(interval),
                            }
