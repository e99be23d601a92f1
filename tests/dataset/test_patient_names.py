"""Tests of case names that look like one patient."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.dataset.dataset import Case
from segkit.dataset.patient_names import one_patient_hints


def cases(*names: str) -> list[Case]:
    return [Case(name, (Path(f"{name}.nii"),)) for name in names]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["pat1_tp1", "pat1_tp2", "pat2_tp1"],
            "2 cases look like time points of one patient, by .* pat1_tp1, pat1_tp2",
        ),
        (["a_baseline", "a_followup1", "b_baseline"], "time points"),
        (["pat1_tp1", "pat1_tp2"], "time points"),
        (["A-visit1", "A-visit2"], "time points"),
        (["a_t1", "a_t2", "b_t1"], "time points"),
        (["patient001_frame01", "patient001_frame12", "patient002_frame01"], "time points"),
        (["a_20200131", "a_20210131", "b_20200131"], "time points"),
        (["BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00002-000"], "time points"),
        (["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1"], "time points"),
        (["Image_01L", "Image_01R", "Image_02L"], "two sides of one patient"),
        (["p1_slice_004", "p1_slice_005", "p2_slice_004"], "slices of one patient"),
        (["p1", "p1 (1)", "p2"], "2 cases look like copies, by their names: p1, p1 .1."),
        (["p1", "p1 - Copy", "p2"], "copies"),
    ],
)
def test_hints(names: list[str], words: str) -> None:
    (hint,) = one_patient_hints(cases(*names))
    assert re.search(words, hint)
    assert "column 'patient'" in hint


def test_all_ways_to_name_a_time_point_are_counted() -> None:
    (hint,) = one_patient_hints(
        cases("a_baseline", "a_followup", "b_t1", "b_t2", "c_20200131", "c_20210131")
    )
    assert hint.startswith("6 cases look like time points")


def test_copies_may_be_one_patient_by_their_voxels() -> None:
    (hint,) = one_patient_hints(cases("p1", "p1 (1)"))
    assert "Those whose voxels differ are treated as separate patients" in hint


@pytest.mark.parametrize(
    "names",
    [
        ["hippocampus_001", "hippocampus_002"],
        ["GA21_notoperated", "GA23_notoperated"],
        ["brain_day_01", "brain_day_02", "brain_day_03"],
        ["brats_2013_pat0001_1", "brats_2013_pat0002_1"],
        ["1", "2", "3"],
        ["2_T1", "3_T1"],
        ["p1_left", "p2_right"],
        [
            "FLARE22_Tr_0001",
            "FLARE22_Tr_0002",
            "amos_0001",
            "s0001",
            "case_00000",
            "IXI002-Guys-0828-T1",
        ],
        ["a_tp1", "b_tp1"],
    ],
)
def test_no_hint(names: list[str]) -> None:
    assert one_patient_hints(cases(*names)) == []


def test_no_hint_where_the_patients_are_known() -> None:
    known = [replace(case, patient="p") for case in cases("a_tp1", "a_tp2", "b_tp1")]
    assert one_patient_hints(known) == []
