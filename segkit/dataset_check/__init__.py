"""Check a dataset before training: a file for each family of checks, a table of all checks."""

from __future__ import annotations

from segkit.dataset_check.check import check
from segkit.dataset_check.problem import Problem, Severity

__all__ = ["Problem", "Severity", "check"]
