"""segkit train --multirun: one training for every combination, one table at the end."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.config.sweep import combinations
from segkit.errors import SomeCasesFailed
from segkit.report.tables import text_table
from segkit.studies.sweep.study import sweep
from segkit.studies.sweep.table import in_common, table_rows

_LEGEND = (
    "Dice is that of each run's validation cases. Standard deviations are those of the sample. 'sd over cases' is\n"
    "that of the mean Dice of each case within a run (in a row of several runs, the root mean square of theirs)."
)


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
    print("\n".join(filter(None, [_LEGEND, in_common(results), f"Every run is a row of {path}"])))
    failed = sum(result.figures is None for result in results)
    if failed:
        raise SomeCasesFailed(f"{failed} of {len(results)} trainings failed; {path} says why")
    return 0
