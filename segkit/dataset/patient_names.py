"""Names of cases that look like one patient: time points, sides, slices and copies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from segkit.dataset.dataset import Case
from segkit.errors import first_few

_SURE = "tp|timepoint|ses|session|visit|followup|follow[-_ ]up|fu"
_VAGUE = "time|day|week|month|year|frame|phase|t|v"
_POINTS, _SIDES, _SLICES = (
    "time points of one patient",
    "two sides of one patient",
    "slices of one patient",
)
COPIES = "copies"
"""What has the same voxels is one patient, whatever its name (planning.copies)."""
_PARTS = (
    (
        re.compile(
            rf"(.+?)[-_. ](({_SURE})[-_. ]?[0-9]{{0,4}}|baseline|bl|pre|post)", re.IGNORECASE
        ),
        _POINTS,
        True,
    ),
    (re.compile(rf"(.+?)[-_. ]({_VAGUE})[-_. ]?[0-9]{{1,3}}", re.IGNORECASE), _POINTS, False),
    (re.compile(r"(.+?)[-_. ]((19|20)[0-9]{2}[-_.]?[01][0-9][-_.]?[0-3][0-9])"), _POINTS, False),
    (re.compile(r"(BraTS-.+-[0-9]{5})-[0-9]{3}"), _POINTS, True),
    (re.compile(r"(.+?)[-_. ](slice|slc)[-_. ]?[0-9]{1,4}", re.IGNORECASE), _SLICES, False),
    (re.compile(r"(.+?)[-_. ](left|right|l|r|od|os)", re.IGNORECASE), _SIDES, True),
    (re.compile(r"(.*[0-9])[LR]"), _SIDES, True),
    (
        re.compile(
            r"(.+?)(?:[-_ ]+(?:copy|kopie|copie|copia)(?:[-_ ]?\(?[0-9]+\)?)?| ?\([0-9]\))", re.I
        ),
        COPIES,
        True,
    ),
    (re.compile(r"(?:copy of|kopie von|copie de|copia de) (.+)", re.IGNORECASE), COPIES, True),
)
"""Pattern whose first group is the patient, what such cases are to each other, and whether the words surely mean it."""


def one_patient_hints(cases: Sequence[Case]) -> list[str]:
    """Return a notice where names of cases look like one patient, and nobody said which cases are of one patient."""
    if any(case.patient or case.split for case in cases):
        return []
    ids = [case.id for case in cases]
    found: dict[str, list[list[str]]] = defaultdict(list)
    for pattern, what, sure in _PARTS:
        patients = defaultdict(list)
        for name in ids:
            match = pattern.fullmatch(name)
            patients[match[1] if match else name].append(name)
        several = [names for names in patients.values() if len(names) > 1]
        # All cases of one name may be numbered cases: what is left of their names then says nothing of a patient.
        if sure or len(patients) > 1:
            taken = {name for names in found[what] for name in names}
            found[what] += [names for names in several if taken.isdisjoint(names)]
    return [_hint(what, groups) for what, groups in found.items() if groups]


def _hint(what: str, patients: list[list[str]]) -> str:
    count = sum(len(names) for names in patients)
    own = (
        "Those that differ in a voxel count as patients of their"
        if what == COPIES
        else "Each counts as a patient of its"
    )
    return (
        f"{count} cases look like {what}, by their names: {first_few(patients[0])}. {own} own, so"
        " they may stand on both sides of a split; a CSV file with a column 'patient' keeps them together."
    )
