"""report.html of a run: Dice, best and worst cases, the plan, and where the time was spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from segkit.evaluation.summary import half_width
from segkit.files.atomic import write_text
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.progress import duration
from segkit.report.tables import Cell
from segkit.report.training_page import CasePicture, Table, TrainingPage, training_page
from segkit.training.outputs.gallery import CASES_PER_END, Gallery
from segkit.training.time_budget import PARTS, STEPS, Timing
from segkit.training.validation import ValidationScore

REPORT = "report.html"


@dataclass(frozen=True)
class RunReport:
    """Writes report.html of a run; holds the facts of the run other than its validation."""

    plan: Plan
    timing: Timing
    mode: ComputeMode
    steps: int
    device: str

    def write(
        self, folder: Path, score: ValidationScore | None, score_step: int, gallery: Gallery
    ) -> None:
        """Write folder/report.html, with folder/progress.png in it.

        The page names cases, so it is not part of the bundle.

        Args:
            folder: the run folder.
            score: the last validation, or None.
            score_step: the step after which it was measured.
            gallery: pictures of the best and the worst cases.
        """
        page = TrainingPage(
            name=folder.absolute().name,
            facts=[*_result(score, score_step, self.steps), *self._facts()],
            curve=(folder / "progress.png").read_bytes(),
            labels=_label_table(score, self.plan) if score else None,
            pictures=_pictures(gallery),
            cases=_case_table(score, self.plan) if score else None,
            time=self._time_table(),
            plan=self.plan,
        )
        write_text(folder / REPORT, training_page(page))

    def _facts(self) -> list[tuple[str, str]]:
        device = self.device
        if device == "cpu":
            device += f", {_count_of(torch.get_num_threads(), 'thread')}"
        step_time = (
            f"{self._step_seconds():.3g} s, of which {self.timing.data_share:.1%} "
            "waiting for patches"
        )
        return [
            ("length", f"{self.steps} steps in {duration(self.timing.elapsed())}"),
            ("a step", step_time),
            (
                "computed",
                f"in {self.mode.precision}, {self.mode.layout} memory format, on {device}",
            ),
        ]

    def _step_seconds(self) -> float:
        return self.timing.parts.get(STEPS, 0.0) / max(1, self.steps)

    def _time_table(self) -> Table:
        whole, seconds_by_part = self.timing.elapsed(), self.timing.parts
        rest = max(0.0, whole - sum(seconds_by_part.values()))
        spent = [(name, seconds_by_part[name]) for name in PARTS if name in seconds_by_part]
        spent.append(("start, planning and the rest", rest))
        rows: list[list[Cell]] = [
            [name, duration(seconds), f"{seconds / whole:.1%}"] for name, seconds in spent
        ]
        return ["spent on", "time", "share"], [*rows, ["together", duration(whole), "100.0%"]]


def _result(score: ValidationScore | None, step: int, steps: int) -> list[tuple[str, str]]:
    if score is None or score.mean is None:
        return [("validation Dice", "not measured")]
    width = score.mean_half_width
    interval = "" if width is None else f" ± {width:.3f}"
    labels, cases = _count_of(len(score.labels), "label"), _count_of(score.cases, "case")
    when = "" if step == steps else f", at step {step}: there was no time for it at the end"
    text = f"{score.mean:.3f}{interval}, the mean over {labels} and {cases}{when}"
    return [("validation Dice", text)]


def _count_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _label_table(score: ValidationScore, plan: Plan) -> Table:
    rows: list[list[Cell]] = []
    for name in plan.labels:
        values = [dice[name] for dice in score.per_case.values() if name in dice]
        spread: list[Cell] = [None, None, None, None]
        if values:
            spread = [float(np.mean(values)), half_width(values), min(values), max(values)]
        rows.append([name, len(values), *spread])
    return ["label", "cases", "Dice", "± (95 %)", "lowest", "highest"], rows


def _case_table(score: ValidationScore, plan: Plan) -> Table:
    """Return Dice by case, lowest mean first; None for a label that neither map of a case has."""
    means = {
        case: float(np.mean(list(dice.values()))) for case, dice in score.per_case.items() if dice
    }
    rows: list[list[Cell]] = [
        [case, mean, *(score.per_case[case].get(name) for name in plan.labels)]
        for case, mean in sorted(means.items(), key=lambda item: item[1])
    ]
    return ["case", "mean", *plan.labels], rows


def _pictures(gallery: Gallery) -> dict[str, list[CasePicture]]:
    """Return the pictures by heading; if all cases are shown, under one heading."""
    pictures = gallery.pictures
    if len(pictures) < 2 * CASES_PER_END:
        return {"Validation cases, worst first": pictures}
    return {
        "Worst validation cases": pictures[:CASES_PER_END],
        "Best validation cases": pictures[: -CASES_PER_END - 1 : -1],
    }
