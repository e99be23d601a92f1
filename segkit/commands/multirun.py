"""segkit train --multirun: one training for every combination, one table at the end."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.config_sweep import combinations
from segkit.errors import SomeCasesFailed
from segkit.report.tables import text_table
from segkit.studies.sweep import sweep
from segkit.studies.sweep_table import table_rows


def run(overrides: Sequence[str], *, show: bool = False) -> int:
    """Check every combination, train each, print the table; ``show`` prints their commands only.

    Raises:
        UsageError: a combination that makes no sense, before anything starts.
        SomeCasesFailed: some trainings failed; the others are done.
    """
    found = combinations(overrides)
    if show:
        print("\n".join(shlex.join(["segkit", "train", *each.words]) for each in found))
        return 0
    path, results = sweep(found)
    print(text_table(*table_rows(results)))
    print(f"Dice is that of each run's validation cases. All runs: {path}")
    failed = sum(result.figures is None for result in results)
    if failed:
        raise SomeCasesFailed(f"{failed} of {len(results)} trainings failed; {path} says why")
    return 0
