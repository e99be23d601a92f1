"""Patient of each case, so that several scans of one patient count as one piece of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.dataset.groups import PATIENT, table_groups
from segkit.dataset.patient_names import names_of_one_patient
from segkit.errors import first_few


def patients_in_table(table: Path) -> dict[str, str]:
    """Return the patient of each case in a CSV file with the columns case and patient.

    Cases with an empty cell are left out.

    Raises:
        InputError: the file cannot be read, lacks a column, or gives one case two patients.
    """
    rows = table_groups(table, PATIENT, remedy="Correct the first line.")
    return {case: patient for case, patient in rows.items() if patient}


def caution_about_patients(cases: Sequence[str], patients: Mapping[str, str]) -> str:
    """Return a sentence about cases without a known patient, if it is needed.

    If patients are known, it is needed for the cases that have none; else if names suggest that
    several cases are of one patient.

    >>> caution_about_patients(["a_left", "a_right", "b"], {})
    'Each case counts as a patient of its own, but 2 look like two sides of one patient, by their \
names (a_left, a_right): the intervals are then too narrow.'
    """
    without = [case for case in cases if case not in patients]
    if patients and without:
        return (
            f"{len(without)} of {len(cases)} cases have no known patient, and each counts as a"
            f" patient of its own: {first_few(without)}."
        )
    if patients:
        return ""
    for relation, found in names_of_one_patient(cases).items():
        count = sum(map(len, found))
        return (
            f"Each case counts as a patient of its own, but {count} look like {relation}, by their"
            f" names ({first_few(found[0])}): the intervals are then too narrow."
        )
    return ""
