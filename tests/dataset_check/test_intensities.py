from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from segkit.dataset_check.case_details import CaseDetails
from segkit.dataset_check.intensities import ct_values, saturated_images, unnamed_ct
from segkit.fingerprint.case_facts import CaseFacts
from segkit.harmonization.values import PROBABILITIES, ChannelValues

from .conftest import facts, label

SCAN = (-1024.0, 3071.0)


def scans(*ends: tuple[float, float]) -> list[CaseFacts]:
    return [facts(f"c{number}", *each) for number, each in enumerate(ends)]


def test_a_ct_without_its_name(measured: Callable) -> None:
    (problem,) = unnamed_ct(measured(scans(SCAN, SCAN, (0, 255)), channel="image"))
    assert problem.case == ""
    assert problem.message.startswith(
        "channel image looks like CT in 2 of 3 cases (-1024 to 3071), but its name"
    )
    assert problem.message.endswith("If it is CT, give dataset.channels=[CT]")


def test_cases_that_could_not_be_read_are_not_counted(measured: Callable) -> None:
    whole = measured(scans(SCAN, SCAN, SCAN), channel="image")
    (problem,) = unnamed_ct(replace(whole, cases=whole.cases[:2]))
    assert "looks like CT in 2 of the 2 cases that could be read (" in problem.message
    whole = measured(scans((0, 4095), (0, 4095), (0, 4095)), channel="CT")
    (problem,) = ct_values(replace(whole, cases=whole.cases[1:]))
    assert problem.message.startswith("in 2 of the 2 cases that could be read, such as c1: channel")


def test_interpolated_ct_has_no_whole_numbers(measured: Callable) -> None:
    cases = [facts("c", -1012.5, 1400.2, whole=False)]
    assert len(list(unnamed_ct(measured(cases)))) == 1


def test_a_ct_among_mr(measured: Callable) -> None:
    (problem,) = unnamed_ct(measured(scans((0, 900), (0, 900), (0, 900), SCAN)))
    assert problem.case == "c3"
    assert problem.message == (
        "channel MR: the values go from -1024 to 3071 and look like CT; the other cases go from 0"
        " to 900"
    )


def test_as_many_ct_as_mr(measured: Callable) -> None:
    problems = list(unnamed_ct(measured(scans((0, 900), SCAN, (5, 800), SCAN))))
    assert [problem.case for problem in problems] == ["c1", "c3"]


@pytest.mark.parametrize(
    ("low", "high"), [(-4096, 4095), (0, 4095), (-5.1, 8.0), (-300, 400), (-32768, 32767)]
)
def test_other_values_do_not_look_like_ct(measured: Callable, low: float, high: float) -> None:
    assert list(unnamed_ct(measured(scans((low, high), (low, high))))) == []


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (
            (0, 4095),
            "none is below 0; the other cases go from -1024 to 3071. Is an offset, such as -1024,"
            " missing",
        ),
        ((-1.024, 3.071), "too narrow for Hounsfield units: they seem to be scaled"),
        ((0, 255), r"as in a picture of 8 bits; .* 3071\. Is this a CT\?$"),
        (
            (-102.4, 307.1),
            "the lowest value is -102.4; the other cases reach -1024. Is this scan a CT",
        ),
        ((-47, 833), "the lowest value is -47; the other cases reach -1024. Is this scan a CT"),
        ((-10240, 30710), "lower than any Hounsfield unit"),
    ],
)
def test_one_ct_with_other_values(measured: Callable, ends: tuple[float, float], said: str) -> None:
    (problem,) = ct_values(measured(scans(SCAN, SCAN, ends, SCAN, SCAN), channel="CT"))
    assert problem.case == "c2"
    assert re.search(said, problem.message)


def test_two_mr_among_ct(measured: Callable) -> None:
    """A quarter of the other cases may be wrong as well."""
    ends = (SCAN, (-47, 833), (-990, 1500), (-31.5, 700), (-1000, 1800))
    problems = list(ct_values(measured(scans(*ends), channel="CT")))
    assert [problem.case for problem in problems] == ["c1", "c3"]
    assert (
        "the lowest value is -47; the other cases reach -1024 to -990. Is this scan a CT"
        in problems[0].message
    )


def test_ct_of_which_many_show_no_air(measured: Callable) -> None:
    assert (
        list(ct_values(measured(scans(SCAN, (-150, 900), SCAN, (-120, 1100)), channel="CT"))) == []
    )
    assert (
        list(ct_values(measured(scans(SCAN, (-480, 900), (-300, 900), (-120, 1100)), channel="CT")))
        == []
    )


def test_an_offset_in_all_cases_is_reported_once(measured: Callable) -> None:
    (problem,) = ct_values(measured(scans((0, 4095), (0, 3000), (24, 2000)), channel="CT"))
    assert problem.case == ""
    assert problem.message.startswith(
        "in 3 of 3 cases, such as c0: channel CT: the values go from 0 to 4095, and none"
    )


def test_labels_with_other_values_than_in_the_other_cases(measured: Callable) -> None:
    cases = [facts(f"c{n}", *SCAN, labels={"a": label(median=50 + n)}) for n in range(4)]
    cases.append(facts("odd", *SCAN, labels={"a": label(median=-974)}))
    (problem,) = ct_values(measured(cases, channel="CT"))
    assert problem.case == "odd"
    assert (
        "the median of label a is -974 HU; in the other cases it is about 51 HU" in problem.message
    )


def test_a_label_that_differs_in_many_cases_is_sound(measured: Callable) -> None:
    """A bowel, for example, may or may not be filled with gas."""
    medians = (40, -850, 30, -900, 60, -870)
    cases = [
        facts(f"c{n}", *SCAN, labels={"a": label(median=each)}) for n, each in enumerate(medians)
    ]
    assert list(ct_values(measured(cases, channel="CT"))) == []


def test_sound_ct(measured: Callable) -> None:
    ends = (SCAN, (-3024, 1800), (-1000, 900), (-1024, 1500))
    assert list(ct_values(measured(scans(*ends), channel="CT"))) == []
    assert list(ct_values(measured(scans(SCAN, (-160, 240)), channel="CT"))) == []
    assert list(ct_values(measured(scans((0, 4095)), channel="MR"))) == []


def test_a_channel_that_is_a_mask_is_not_saturated(measured: Callable) -> None:
    """A mask of lesions is empty in most cases, and all of a lesion has its highest value."""
    cases = scans(*[(0, 1)] * 10)
    details = {case.id: CaseDetails(values=(values(0, 1, 1e-4),)) for case in cases}
    details[cases[4].id] = CaseDetails(values=(values(0, 1, 0.05),))
    dataset = replace(measured(cases), details=details)
    assert list(saturated_images(dataset)) == []
    details[cases[4].id] = CaseDetails(values=(values(0, 1, 0.05, some=0.5),))
    (problem,) = saturated_images(dataset)
    assert problem.message.endswith("was it saved with a window or in 8 bits?")
    (problem,) = saturated_images(replace(dataset, unit="px"))
    assert problem.message.endswith("is it overexposed?")


def values(low: float, high: float, share: float, *, some: float = 0.0) -> ChannelValues:
    """Return the values of a channel of which a share is high, and half ``some``."""
    quantiles = np.where(1 - share < PROBABILITIES, high, np.where(PROBABILITIES > 0.5, some, low))
    return ChannelValues(quantiles, float(quantiles.mean()), float(quantiles.std()))
