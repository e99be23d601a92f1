"""What a check reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One finding. With an error, training refuses the dataset."""

    case: str
    """The case's id, or empty for the dataset as a whole."""
    severity: Severity
    message: str


def warnings_of(found: Mapping[str, str], cases: int) -> Iterator[Problem]:
    """Yield a warning for each case id in ``found``, or one for all if more than half of the ``cases`` are in it."""
    ids = list(found)
    if len(ids) > 1 and 2 * len(ids) > cases:
        yield Problem(
            "", "warning", f"in {len(ids)} of {cases} cases, such as {ids[0]}: {found[ids[0]]}"
        )
        return
    for case, message in found.items():
        yield Problem(case, "warning", message)
