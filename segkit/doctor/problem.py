"""Problem of a machine: what was expected, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""Error: it would stop a prediction. Warning: it would stop or slow down something. Note: it is
unusual, or good to know."""


@dataclass(frozen=True)
class Problem:
    """Problem of a machine or of a model."""

    severity: Severity
    name: str
    """Name of the check, for programs, such as "temporary_folder"."""
    where: str
    """Name of the part of the machine, or of the model."""
    expected: str
    found: str
    remedy: str
    """Advice, in whole sentences."""

    @property
    def text(self) -> str:
        """The whole problem in two sentences or more."""
        return f"{self.where}: expected {self.expected}, found {self.found}. {self.remedy}"
