"""Validation during a training: when it is due, on how many cases, and its latest score."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.progress import duration
from segkit.training.compute.distributed import Ranks
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.gallery import Gallery
from segkit.training.outputs.overlap_dice import OverlapDice
from segkit.training.outputs.quality import QualityFit
from segkit.training.signals import StopRequest
from segkit.training.time_budget import VALIDATING, Budget
from segkit.training.validation import OnCase, ValidationScore, ignore_case, validate

log = logging.getLogger(__name__)


class ScheduledValidation:
    """Validates a few cases at even intervals, and all cases after the last step if time allows."""

    def __init__(
        self,
        plan: Plan,
        cases: Sequence[PreparedCase],
        *,
        count: int,
        budget: Budget,
        stop: StopRequest,
        ranks: Ranks,
    ) -> None:
        """Schedule ``count`` validations on ``cases``.

        Args:
            plan: the plan of the network.
            cases: validation cases of all ranks; none if nothing is validated.
            count: number of validations of the training, the last one included.
            budget: the time that validations may take.
            stop: a signal to this process ends a validation after its current case.
            ranks: processes that share the cases.
        """
        self.plan, self.cases, self.count = plan, cases, count
        self.budget, self.stop, self.ranks = budget, stop, ranks
        self.score: ValidationScore | None = None
        """Score of the last validation."""
        self.score_step = 0
        """Step of the last validation."""
        self.due_so_far = 0
        """Number of validations that were due so far."""
        self.gallery = Gallery(plan)
        self.overlaps = OverlapDice(plan, cases, budget=budget, stop=stop, ranks=ranks)
        """Dice at smaller overlaps of windows; this and the next after the last validation."""
        self.quality = QualityFit(plan, cases, budget=budget, stop=stop, ranks=ranks)

    def run_if_due(self, module: SegmentationModule) -> bool:
        """Validate if the schedule says so; return False if a signal cut the validation short."""
        due = due_until(module.schedule.progress, self.count) - self.due_so_far
        if module.schedule.remaining == 0:
            self._validate_at_the_end(module)
        elif due:
            cases, _ = self.ranks.agree([self.budget.settle_cases()], 0)
            self._validate(module, self.cases[: self.ranks.count * cases])
            (self.stop.agreed,) = self.ranks.agree([], self.stop.received)
            if self.stop.agreed:
                return False  # the resumed run repeats it
        self.due_so_far += due
        return True

    def remaining(self) -> int:
        """Return how many validations follow before the last one."""
        return max(0, self.count - self.due_so_far - 1)

    def score_of_step(self, step: int) -> ValidationScore | None:
        """Return the score if it was measured after ``step``, else None."""
        return self.score if self.score_step == step else None

    def state_dict(self) -> dict[str, Any]:
        """Return this part of a checkpoint."""
        return {
            "due": self.due_so_far,
            "score": None if self.score is None else dataclasses.asdict(self.score),
            "score_step": self.score_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the validations of the run that is resumed."""
        self.due_so_far, self.score_step = state["due"], state["score_step"]
        self.score = ValidationScore(**state["score"]) if state["score"] else None

    def _validate_at_the_end(self, module: SegmentationModule) -> None:
        """Validate all cases, or as many as there is time for, and collect their pictures."""
        if not self.cases:
            return
        if not self.ranks.agree([self.budget.final_reserve() > 0], 0)[0]:
            log.warning(
                "no validation at the end: one case would take about %s, more than the time allows",
                duration(self.budget.case_seconds()),
            )
            self.quality.skip()
            return
        self._validate(module, self.cases, self.gallery.offer, keep=self.budget.reserve_after())
        pictures = self.ranks.merged({one.case: one for one in self.gallery.pictures})
        self.gallery.keep_extremes(pictures.values())
        if self.score:
            _log_missing(self.score.cases, len(self.cases), is_stopped=bool(self.stop.received))
            self.quality.measure(module)
            self.overlaps.measure(module, self.score.per_case)

    def _validate(
        self,
        module: SegmentationModule,
        cases: Sequence[PreparedCase],
        on_case: OnCase = ignore_case,
        *,
        keep: float = 0.0,
    ) -> None:
        """Validate ``cases``, fewer if only ``keep`` seconds would be left after the next one."""
        if not cases:
            return
        timing = self.budget.timing
        start = time.perf_counter()

        def is_enough(done: int) -> bool:
            timing.case = (time.perf_counter() - start) / done
            return bool(self.stop.received) or self.budget.left() < timing.case + keep

        with timing.part(VALIDATING):
            self.score = validate(
                module.average,
                cases,
                self.plan,
                mode=module.mode,
                device=module.device,
                is_enough=is_enough,
                on_case=on_case,
                ranks=self.ranks,
            )
        self.score_step = module.schedule.step


def _log_missing(done: int, cases: int, *, is_stopped: bool) -> None:
    if done < cases:
        reason = "it was stopped" if is_stopped else "time allowed"
        log.info("validated on %d of %d cases, as %s", done, cases, reason)


def due_until(progress: float, count: int) -> int:
    """Return how many of ``count`` validations are due up to a progress of the schedule.

    >>> due_until(0.5, 5)
    2
    """
    return int(progress * count)
