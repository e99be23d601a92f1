"""Names of cases that look like one patient: time points, sides, slices and copies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from segkit.dataset import Case
from segkit.left_out import some

_TIMES = "tp|time|timepoint|ses|session|visit|day|week|month|year|followup|follow[-_ ]up|fu"
_PARTS = (
    (re.compile(rf"(.+?)[-_. ]({_TIMES})[-_. ]?[0-9]{{1,4}}", re.IGNORECASE), "time points of one patient"),
    (re.compile(r"(.+?)[-_. ][tv][0-9]", re.IGNORECASE), "time points of one patient"),
    (re.compile(r"(.+?)[-_. ](slice|slc)[-_. ]?[0-9]{1,4}", re.IGNORECASE), "slices of one patient"),
    (re.compile(r"(.+?)[-_. ](baseline|followup|follow[-_ ]up|pre|post)", re.IGNORECASE), "time points of one patient"),
    (re.compile(r"(.+?)[-_. ]((19|20)[0-9]{2}[-_.]?[01][0-9][-_.]?[0-3][0-9])"), "time points of one patient"),
    (re.compile(r"(BraTS-.+-[0-9]{5})-[0-9]{3}"), "time points of one patient"),
    (re.compile(r"(.+?)[-_. ](left|right|l|r|od|os)", re.IGNORECASE), "two sides of one patient"),
    (re.compile(r"(.*[0-9])[LR]"), "two sides of one patient"),
    (
        re.compile(r"(.+?)(?:[-_ ]+(?:copy|kopie|copie|copia)(?:[-_ ]?\(?[0-9]+\)?)?| ?\([0-9]\))", re.IGNORECASE),
        "copies",
    ),
    (re.compile(r"(?:copy of|kopie von|copie de|copia de) (.+)", re.IGNORECASE), "copies"),
)
"""Pattern whose first group is the patient, and what such cases are to each other."""


def one_patient_hints(cases: Sequence[Case]) -> list[str]:
    """Return a notice where names of cases look like one patient, and nobody said which cases are of one patient."""
    if any(case.patient or case.split for case in cases):
        return []
    ids = {case.id for case in cases}
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        for pattern, what in _PARTS:
            match = pattern.fullmatch(case.id)
            if match:
                found[what][match[1]].append(case.id)
                break
    return [hint for what, patients in found.items() for hint in _hint(what, patients, ids)]


def _hint(what: str, patients: dict[str, list[str]], ids: set[str]) -> list[str]:
    several = [names + [name] * (name in ids) for name, names in patients.items() if len(names) + (name in ids) > 1]
    # All cases of one name are numbered cases: what is left of their names says nothing of a patient.
    if not several or len(several[0]) == len(ids):
        return []
    count = sum(len(names) for names in several)
    return [
        f"{count} cases look like {what}, by their names: {some(several[0])}. Each counts as a patient of its own, so"
        " they may stand on both sides of a split; a CSV file with a column 'patient' keeps them together."
    ]
