"""Input and output of every check: a measured dataset, and the problems found in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from segkit.dataset.dataset import Dataset
from segkit.dataset_check.case_details import CaseDetails
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.usual_spacing import Spacing
from segkit.volume import Unit

Severity = Literal["error", "warning", "note"]
"""Error: certain, and it spoils a training. Warning: probably wrong. Note: unusual, look at it."""


@dataclass(frozen=True)
class MeasuredDataset:
    """Dataset, and the facts of the cases that could be read."""

    dataset: Dataset
    cases: Sequence[CaseFacts]
    unit: Unit = "mm"
    """Unit of all lengths."""
    details: Mapping[str, CaseDetails] = field(default_factory=dict)
    """Case id -> what only `segkit check` measures; empty in a training."""
    spacing: Spacing | None = None
    """Voxel spacing to which scans are resampled; None for the one that would be planned."""

    found: dict[Compare, tuple[Problem, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Results of the checks that have been made."""

    def problems_of(self, compare: Compare) -> tuple[Problem, ...]:
        """Return what a check finds; it is made once, however many other checks ask for it."""
        if compare not in self.found:
            self.found[compare] = tuple(compare(self))
        return self.found[compare]

    @property
    def cases_text(self) -> str:
        """Number of measured cases for a message; it says so if others could not be read."""
        if len(self.cases) == len(self.dataset.cases):
            return f"{len(self.cases)} cases"
        noun = "case" if len(self.cases) == 1 else "cases"
        return f"the {len(self.cases)} {noun} that could be read"


@dataclass(frozen=True)
class Problem:
    """Problem of a dataset."""

    case: str
    """Id of the case, or "" for the dataset as a whole."""
    severity: Severity
    message: str
    check: str = ""
    """Name of the check that found it."""
    file: str = ""
    """The file to look at, relative to the folder of the dataset; "" for several or none."""
    remedy: str = ""
    """Advice for all problems of the check; the message may say more."""
    cases: tuple[str, ...] = ()
    """Ids of the cases that a problem of the dataset is about, such as copies; () for all."""
    correctable: bool = False
    """True if a copy by --fix-geometry may be without it."""


Compare = Callable[[MeasuredDataset], Iterator[Problem]]


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    name: str
    family: str
    """Subject of the check, such as "geometry" or "label maps"."""
    severity: Severity
    finds: str
    """Description of the problem, as the end of "finds ..."."""
    remedy: str
    """Advice, in whole sentences."""
    compare: Compare | None = None
    """Function that yields its problems; None for what shows while a single case is read."""
    file: Literal["image", "label", ""] = ""
    """The file of the case to look at."""


def dataset_warning(message: str, cases: Sequence[str] = ()) -> Problem:
    """Return a warning about the dataset as a whole, or about several of its cases."""
    return Problem("", "warning", message, cases=tuple(cases))


def case_or_dataset_warnings(
    messages: Mapping[str, str], measured: MeasuredDataset
) -> Iterator[Problem]:
    """Yield a warning for each case, or a single one if more than half of the cases are affected.

    Args:
        messages: case id -> message.
        measured: the dataset whose cases have them.
    """
    affected = list(messages)
    if len(affected) > 1 and 2 * len(affected) > len(measured.cases):
        first = affected[0]
        yield dataset_warning(
            f"in {len(affected)} of {measured.cases_text}, such as {first}: {messages[first]}"
        )
        return
    for case, message in messages.items():
        yield Problem(case, "warning", message)
