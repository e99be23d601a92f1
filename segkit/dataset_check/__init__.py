"""Checks of a dataset before training: a file for each family of checks, and one table of them in `check`."""

from __future__ import annotations

from segkit.dataset_check.check import check
from segkit.dataset_check.problem import Problem, Severity

__all__ = ["Problem", "Severity", "check"]
