"""Checks of a dataset before training: one module for each group, and a table of all in `check`."""

from __future__ import annotations

from segkit.dataset_check.check import SEVERITIES, Examined, check, examine
from segkit.dataset_check.problem import Problem, Severity

__all__ = ["SEVERITIES", "Examined", "Problem", "Severity", "check", "examine"]
