"""Patient of each case, so that several scans of one patient count as one piece of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.dataset.groups import PATIENT, table_groups
from segkit.dataset.patient_names import names_of_one_patient
from segkit.errors import InputError, first_few


def patients_in_table(table: Path) -> dict[str, str]:
    """Return the patient of each case in a CSV file with the columns case and patient.

    Cases with an empty cell are left out.

    Raises:
        InputError: the file cannot be read, lacks a column, or gives one case two patients.
    """
    rows = table_groups(table, PATIENT, remedy="Correct the first line.")
    return {case: patient for case, patient in rows.items() if patient}


def patients_of_cases(cases: Sequence[str], patients: Mapping[str, str]) -> dict[str, str]:
    """Return the patient of each case that has one.

    Args:
        cases: the cases of an evaluation.
        patients: patient of each case, as the user gives them.

    Raises:
        InputError: no case has a patient.
    """
    found = {case: patients[case] for case in cases if patients.get(case)}
    if not found:
        raise InputError(
            "patients",
            expected=f"the patients of the cases {first_few(cases)}",
            found=f"those of {first_few(list(patients))}" if patients else "none",
            remedy="Name the cases as the predictions are named, without the suffix.",
        )
    return found


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
