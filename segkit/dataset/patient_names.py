"""Recognize case names that look like one patient: time points, sides, slices and copies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from segkit.dataset.dataset import Case
from segkit.errors import first_few

_TIME_POINT = "tp|timepoint|ses|session|visit|followup|follow[-_ ]up|fu"
_VAGUE_TIME_POINT = "time|day|week|month|year|frame|phase|t|v"
_POINTS = "time points of one patient"
_SIDES = "two sides of one patient"
_SLICES = "slices of one patient"
COPIES = "copies"
"""Relation of cases named as copies; cases with identical voxels count as one patient anyway."""
_PATTERNS = (
    (
        re.compile(
            rf"(.+?)[-_. ](({_TIME_POINT})[-_. ]?[0-9]{{0,4}}|baseline|bl|pre|post)",
            re.IGNORECASE,
        ),
        _POINTS,
        True,
    ),
    (
        re.compile(rf"(.+?)[-_. ]({_VAGUE_TIME_POINT})[-_. ]?[0-9]{{1,3}}", re.IGNORECASE),
        _POINTS,
        False,
    ),
    (re.compile(r"(.+?)[-_. ]((19|20)[0-9]{2}[-_.]?[01][0-9][-_.]?[0-3][0-9])"), _POINTS, False),
    (re.compile(r"(BraTS-.+-[0-9]{5})-[0-9]{3}"), _POINTS, True),
    (re.compile(r"(.+?)[-_. ](slice|slc)[-_. ]?[0-9]{1,4}", re.IGNORECASE), _SLICES, False),
    (re.compile(r"(.+?)[-_. ](left|right|l|r|od|os)", re.IGNORECASE), _SIDES, True),
    (re.compile(r"(.*[0-9])[LR]"), _SIDES, True),
    (
        re.compile(
            r"(.+?)(?:[-_ ]+(?:copy|kopie|copie|copia)(?:[-_ ]?\(?[0-9]+\)?)?| ?\([0-9]\))",
            re.IGNORECASE,
        ),
        COPIES,
        True,
    ),
    (re.compile(r"(?:copy of|kopie von|copie de|copia de) (.+)", re.IGNORECASE), COPIES, True),
)
"""Pattern whose first group is the patient, relation of such cases, and whether it is certain."""


def one_patient_hints(cases: Sequence[Case]) -> list[str]:
    """Return a notice for each kind of case names that suggest a common patient.

    There are none if the dataset gives patients or splits.
    """
    if any(case.patient or case.split for case in cases):
        return []
    groups = names_of_one_patient([case.id for case in cases])
    return [_hint(relation, patients) for relation, patients in groups.items()]


def names_of_one_patient(cases: Sequence[str]) -> dict[str, list[list[str]]]:
    """Return the names that suggest a common patient, by their relation, patient by patient.

    >>> names_of_one_patient(["a_left", "a_right", "b_left"])
    {'two sides of one patient': [['a_left', 'a_right']]}
    """
    groups: dict[str, list[list[str]]] = defaultdict(list)
    for pattern, relation, certain in _PATTERNS:
        patients = defaultdict(list)
        for case in cases:
            match = pattern.fullmatch(case)
            patients[match[1] if match else case].append(case)
        several = [names for names in patients.values() if len(names) > 1]
        # If a vague pattern leaves the same name for all cases, they are merely numbered.
        if certain or len(patients) > 1:
            listed = {name for names in groups[relation] for name in names}
            groups[relation] += [names for names in several if listed.isdisjoint(names)]
    return {relation: patients for relation, patients in groups.items() if patients}


def _hint(relation: str, patients: list[list[str]]) -> str:
    count = sum(len(names) for names in patients)
    if relation == COPIES:
        treated = "Those whose voxels differ are treated as separate patients"
    else:
        treated = "Each is treated as a separate patient"
    return (
        f"{count} cases look like {relation}, by their names: {first_few(patients[0])}. {treated},"
        " so they may end up on both sides of a split; a CSV file with a column 'patient' keeps"
        " them together."
    )
