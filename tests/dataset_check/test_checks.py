"""The table of checks, and the page that describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.dataset_check.checks import CHECKS
from segkit.dataset_check.problem import Check

PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")


def test_names_are_different() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_page_describes_each_check(check: Check) -> None:
    assert f"| `{check.name}` | {check.severity} | {check.finds} |" in PAGE
    assert check.remedy.endswith((".", "?"))
