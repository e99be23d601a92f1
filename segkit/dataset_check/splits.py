"""Check the split column: no patient may train and validate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from segkit.dataset.dataset import Case, is_fold
from segkit.dataset_check.problem import MeasuredDataset, Problem
from segkit.errors import first_few


def patients_in_two_folds(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield an error for each patient whose cases have different fold numbers in the split column.

    Without a fold number in every case, the column is not used, and segkit keeps the cases of a
    patient together.
    """
    cases = measured.dataset.cases
    if not all(is_fold(case.split) for case in cases):
        return
    patients: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.patient:
            patients[case.patient].append(case)
    for own in patients.values():
        folds = sorted({int(case.split) for case in own})
        if len(folds) > 1:
            places = [f"{case.id} in fold {int(case.split)}" for case in own]
            yield Problem(
                "",
                "error",
                f"a patient is in {len(folds)} folds: {first_few(places, 4)}; the model would"
                " validate on a patient that it was trained on",
                cases=tuple(case.id for case in own),
            )
