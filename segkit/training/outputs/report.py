"""report.html of a run: what came out, the best and the worst cases, the plan, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from segkit.evaluation.intervals import half_width
from segkit.files.atomic import write_text
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.progress import duration
from segkit.report.tables import Cell
from segkit.report.training_page import CasePicture, Table, TrainingPage, training_page
from segkit.training.outputs.gallery import EACH, Gallery
from segkit.training.time_budget import PARTS, STEPS, Timing
from segkit.training.validation import ValidationScore

REPORT = "report.html"


@dataclass(frozen=True)
class RunReport:
    """What the page says about a run beside its validation."""

    plan: Plan
    timing: Timing
    mode: ComputeMode
    steps: int
    device: str

    def write(
        self, folder: Path, score: ValidationScore | None, score_step: int, gallery: Gallery
    ) -> None:
        """Write folder/report.html, with folder/progress.png in it. It names cases, so it stays out of the bundle."""
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
        threads = f", {_counted(torch.get_num_threads(), 'thread')}" if self.device == "cpu" else ""
        return [
            ("length", f"{self.steps} steps in {duration(self.timing.elapsed())}"),
            (
                "a step",
                f"{self._step_seconds():.3g} s, of which {self.timing.data_share:.1%} waiting for patches",
            ),
            (
                "computed",
                f"in {self.mode.precision}, {self.mode.layout} layout, on {self.device}{threads}",
            ),
        ]

    def _step_seconds(self) -> float:
        return self.timing.parts.get(STEPS, 0.0) / max(1, self.steps)

    def _time_table(self) -> Table:
        whole, parts = self.timing.elapsed(), self.timing.parts
        rest = max(0.0, whole - sum(parts.values()))
        named = [
            *((name, parts[name]) for name in PARTS if name in parts),
            ("start, planning and the rest", rest),
        ]
        rows: list[list[Cell]] = [
            [name, duration(seconds), f"{seconds / whole:.1%}"] for name, seconds in named
        ]
        return ["spent on", "time", "share"], [*rows, ["together", duration(whole), "100.0%"]]


def _result(score: ValidationScore | None, step: int, steps: int) -> list[tuple[str, str]]:
    if score is None or score.mean is None:
        return [("validation Dice", "not measured")]
    width = score.mean_half_width
    about = "" if width is None else f" ± {width:.3f}"
    when = "" if step == steps else f", at step {step}: there was no time for it at the end"
    over = (
        f"the mean over {_counted(len(score.labels), 'label')} and {_counted(score.cases, 'case')}"
    )
    return [("validation Dice", f"{score.mean:.3f}{about}, {over}{when}")]


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _label_table(score: ValidationScore, plan: Plan) -> Table:
    rows: list[list[Cell]] = []
    for name in plan.labels:
        values = [dice[name] for dice in score.per_case.values() if name in dice]
        spread: list[Cell] = (
            [float(np.mean(values)), half_width(values), min(values), max(values)]
            if values
            else [None] * 4
        )
        rows.append([name, len(values), *spread])
    return ["label", "cases", "Dice", "± (95 %)", "lowest", "highest"], rows


def _case_table(score: ValidationScore, plan: Plan) -> Table:
    """Lowest mean first; a label that neither the prediction nor the reference has is a dash."""
    means = {
        case: float(np.mean(list(dice.values()))) for case, dice in score.per_case.items() if dice
    }
    rows: list[list[Cell]] = [
        [case, mean, *(score.per_case[case].get(name) for name in plan.labels)]
        for case, mean in sorted(means.items(), key=lambda item: item[1])
    ]
    return ["case", "mean", *plan.labels], rows


def _pictures(gallery: Gallery) -> dict[str, list[CasePicture]]:
    """By heading; where all cases are shown there are no two kinds."""
    shown = gallery.pictures
    if len(shown) < 2 * EACH:
        return {"Validation cases, worst first": shown}
    return {
        "Worst validation cases": shown[:EACH],
        "Best validation cases": shown[: -EACH - 1 : -1],
    }
