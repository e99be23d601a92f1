"""Fit of expected Dice and temperatures to validation cases, after the last step.

The expected Dice is fitted to degraded copies of them as well. The network has seen neither. The
time is limited, and the examples of the expected Dice are kept in a file of the run, so that a
cross-validation can fit to the cases of all folds.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from segkit.quality.accuracy import MIN_CASES, groups_of_cases
from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.example_file import EXAMPLES, write_examples
from segkit.training.data.degraded_copies import DEGRADATIONS
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.after_validation import AfterValidation
from segkit.training.outputs.measured_quality import (
    FittedQuality,
    fitted_quality,
    measure_case,
)
from segkit.training.time_budget import SHARE_OF_QUALITY, Budget

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_CASES = 20
"""Largest number of cases that each process of a training measures."""
SECONDS, SHARE = 5.0, 0.05
"""Time without a limit of minutes: so many seconds, or this share of the training if it is more.

A study has dozens of trainings of a minute each, which must not take twice as long for it.
"""


class QualityFit(AfterValidation):
    """Measures features and true Dice of validation cases, as time allows, and fits to them."""

    patients: Mapping[str, str] = MappingProxyType({})
    """Patient of each case; a case without one is a patient of its own."""
    folder = Path("RUN")
    """Folder of the run, for messages."""
    fitted = FittedQuality()
    """Fit to the cases of all ranks that were measured."""

    def measure(self, module: SegmentationModule) -> None:
        """Measure cases of this rank until time is out, gather those of all ranks, and fit.

        All ranks call this together.
        """
        end = self.budget.timing.elapsed() + seconds_to_measure(self.budget)
        to_measure = spread_cases(self.own_cases)
        measured = self.measure_each(
            to_measure,
            lambda case: measure_case(module, case, self.plan),
            relative_time=lambda _case: relative_time(),
            left=lambda: end - self.budget.timing.elapsed(),
        )
        self.fitted = fitted_quality(measured, self.plan, groups_of_cases(measured, self.patients))
        self._log(len(measured), self.ranks.total(len(to_measure)))

    def skip(self) -> None:
        """Log that there was no time to measure; all ranks call this together."""
        self._log(0, self.ranks.total(len(spread_cases(self.own_cases))))

    def entry(self) -> dict[str, Any]:
        """Return the entries of bundle.json (`segkit.quality`); empty without enough cases."""
        return self.fitted.entries

    def write(self, folder: Path) -> None:
        """Write the examples into the folder of the run; without any, remove those of a past end.

        They are of other weights if time was added to the training.
        """
        if self.fitted.examples:
            write_examples(folder, self.fitted.examples)
        else:
            (folder / EXAMPLES).unlink(missing_ok=True)

    def _log(self, measured: int, to_measure: int) -> None:
        """Log how accurate the expected Dice is, or how to get one."""
        command = shlex.join(["segkit", "calibrate", str(self.folder)])
        if self.fitted.expected:
            log.info("expected Dice of new scans, %s", measured_accuracy(self.fitted.expected))
        if measured < to_measure:
            log.info(
                "%sthere was time to measure %d of %d validation cases%s; to measure all: %s",
                "" if self.fitted.expected else "no expected Dice for new scans: ",
                measured,
                to_measure,
                " for the expected Dice" if self.fitted.expected else "",
                command,
            )
        elif not self.fitted.expected:
            log.info(
                "no expected Dice for new scans: it takes %d validation cases of two patients or "
                "more in which the model finds a label, and there are %d; to fit it to other "
                "labeled cases: %s dataset=PATH",
                MIN_CASES,
                measured,
                command,
            )


def measured_accuracy(entry: Mapping[str, Any]) -> str:
    """Return in words how accurate an expected Dice is, for the log."""
    accuracy = entry[EXPECTED_KEY]["accuracy"]
    return (
        f"fitted to {accuracy['cases']} validation cases with degraded copies: mean absolute error "
        f"{accuracy['as_they_are']['error']:.3f} on cases as they are, "
        f"{accuracy['with_degraded']['error']:.3f} with the copies"
    )


def spread_cases(cases: Sequence[T], most: int = MAX_CASES) -> list[T]:
    """Return at most ``most`` cases, spread evenly, in an order in which any first ones are.

    >>> spread_cases(list("abcde"))
    ['a', 'e', 'c', 'b', 'd']
    """
    chosen = np.linspace(0, len(cases) - 1, min(most, len(cases))).round().astype(int).tolist()
    order: list[int] = []
    while chosen:  # always the one that is farthest from those taken so far
        far = max(chosen, key=lambda one: min((abs(one - other) for other in order), default=0))
        order.append(far)
        chosen.remove(far)
    return [cases[index] for index in order]


def seconds_to_measure(budget: Budget) -> float:
    """Return the seconds that measuring may take from now on."""
    if budget.trainer.max_minutes is None:
        return max(SECONDS, SHARE * budget.timing.elapsed())
    return max(0.0, min(budget.left(), budget.seconds * SHARE_OF_QUALITY))


def relative_time() -> float:
    """Return the time to measure a case with its copies, in times of a validation case."""
    return 1.0 + len(DEGRADATIONS)
