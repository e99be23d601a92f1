"""What a check reports."""

from __future__ import annotations

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
