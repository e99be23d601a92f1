"""Cases for choosing and cases for quoting.

The best of many networks is better by chance on the cases by which it was chosen.

The validation cases of the fold, which no training sees, are divided into halves by patient. The
search, its rungs and the choice of the configuration use the Dice of one half; the Dice that is
quoted is that of the other half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from segkit.dataset.dataset import Case
from segkit.errors import InputError

CHOOSE, QUOTE = "choose", "quote"


def roles(cases: Sequence[Case], where: str) -> dict[str, str]:
    """Return CHOOSE or QUOTE for the id of each case; cases of a patient have the same.

    The order of patients is that of a hash of their names: it does not follow that of sites or
    dates, and is the same in every call. Every second patient chooses.

    Args:
        cases: the validation cases.
        where: the dataset, for the message.

    Raises:
        InputError: all cases are of one patient.
    """
    patients = sorted({_patient(case) for case in cases}, key=_hash)
    if len(patients) < 2:
        raise InputError(
            where,
            expected="validation cases of at least two patients: some to choose the configuration, "
            "others to measure it",
            found=f"{len(patients)} in this fold",
            remedy="Add cases, or give fewer folds (folds=2), so that a fold has more of them.",
        )
    chosen = set(patients[::2])
    return {case.id: CHOOSE if _patient(case) in chosen else QUOTE for case in cases}


def _patient(case: Case) -> str:
    return case.patient or case.id


def _hash(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()
