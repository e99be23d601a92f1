"""Input and output of every check: a measured dataset, and the problems found in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.volume import Unit

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class MeasuredDataset:
    """Dataset, and the facts of the cases that could be read."""

    dataset: Dataset
    cases: Sequence[CaseFacts]
    unit: Unit = "mm"
    """Unit of all lengths."""


@dataclass(frozen=True)
class Problem:
    """Problem of a dataset; training refuses a dataset with an error."""

    case: str
    """Id of the case, or "" for the dataset as a whole."""
    severity: Severity
    message: str


def dataset_warning(message: str) -> Problem:
    """Return a warning about the dataset as a whole."""
    return Problem("", "warning", message)


def case_or_dataset_warnings(messages: Mapping[str, str], cases: int) -> Iterator[Problem]:
    """Yield a warning for each case, or a single one if more than half of the cases are affected.

    Args:
        messages: case id -> message.
        cases: number of all cases.
    """
    affected = list(messages)
    if len(affected) > 1 and 2 * len(affected) > cases:
        first = affected[0]
        yield dataset_warning(
            f"in {len(affected)} of {cases} cases, such as {first}: {messages[first]}"
        )
        return
    for case, message in messages.items():
        yield Problem(case, "warning", message)
