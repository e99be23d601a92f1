"""segkit train --multirun: train every combination of values, print one table at the end."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.config.sweep import combinations
from segkit.errors import SomeCasesFailed
from segkit.report.tables import text_table
from segkit.studies.sweep.study import sweep
from segkit.studies.sweep.table import in_common, table_rows

_LEGEND = (
    "Dice is computed on the validation cases of each run; sd is the sample standard deviation.\n"
    "'sd over cases' is taken over the mean Dice of each case of a run; for several runs it is\n"
    "the root mean square of their values."
)


def run(overrides: Sequence[str], *, show: bool = False) -> int:
    """Check every combination, train each and print the table; with ``show``, only print commands.

    Raises:
        UsageError: a combination that makes no sense; nothing has been trained then.
        SomeCasesFailed: some trainings failed; the others are done.
    """
    trainings = combinations(overrides)
    if show:
        for training in trainings:
            print(shlex.join(["segkit", "train", *training.overrides]))
        return 0
    path, results = sweep(trainings)
    print(text_table(*table_rows(results)))
    notes = [_LEGEND, in_common(results), f"Every run is a row of {path}"]
    print("\n".join(note for note in notes if note))
    failed = sum(result.figures is None for result in results)
    if failed:
        raise SomeCasesFailed(f"{failed} of {len(results)} trainings failed; {path} says why")
    return 0
