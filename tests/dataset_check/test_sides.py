"""Sides and orders of labels, from centroids made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segkit.dataset_check.sides import mirrored_cases, side_names
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.label_facts import LabelFacts

from .conftest import facts

NAMES = {"kidney_right": 2, "kidney_left": 1, "spleen": 3}


def case(name: str, **x: float) -> CaseFacts:
    """Return a case with labels at these X, each with a standard deviation of 2 mm."""
    labels = {
        label: LabelFacts(100, 100.0, (position, 20.0, 20.0), (2.0, 2.0, 2.0))
        for label, position in x.items()
    }
    return facts(name, labels=labels)


def cases(*positions: tuple[float, float]) -> Sequence[CaseFacts]:
    return [
        case(f"c{number}", kidney_left=left, kidney_right=right)
        for number, (left, right) in enumerate(positions)
    ]


def test_left_is_where_x_is_smaller(measured: Callable) -> None:
    assert list(side_names(measured(cases((10, 30), (12, 30)), labels=NAMES))) == []
    (problem,) = side_names(measured(cases((10, 30), (10, 30), (30, 10)), labels=NAMES))
    assert problem.case == "c2"
    assert problem.message.startswith("kidney_left lies 20 mm to the patient's right of kidney_r")


def test_wrong_sides_in_most_cases_are_one_warning(measured: Callable) -> None:
    (problem,) = side_names(measured(cases((30, 10), (30, 10), (10, 30)), labels=NAMES))
    assert problem.case == ""
    assert problem.message.startswith("in 2 of 3 cases, such as c0: kidney_left lies 20 mm")


def test_labels_that_are_hardly_apart_have_no_side(measured: Callable) -> None:
    assert list(side_names(measured(cases((10.9, 10), (10, 30)), labels=NAMES))) == []


def test_pictures_have_no_sides(measured: Callable) -> None:
    found = measured(cases((30, 10)), labels=NAMES)
    assert len(list(side_names(found))) == 1
    assert list(side_names(type(found)(found.dataset, found.cases, "px"))) == []


def test_lesions_that_lie_anywhere_have_no_order(measured: Callable) -> None:
    positions = [(5, 30), (30, 32), (10, 14), (2, 20), (31, 12)]
    found = [case(f"c{n}", tumor=one, cyst=other) for n, (one, other) in enumerate(positions)]
    assert list(mirrored_cases(measured(found, labels={"tumor": 1, "cyst": 2}))) == []


def test_a_case_against_the_usual_order(measured: Callable) -> None:
    usual = [case(f"c{n}", a=10, spleen=30) for n in range(5)]
    found = measured([*usual, case("odd", a=30, spleen=10)], labels={"spleen": 3})
    (problem,) = mirrored_cases(found)
    assert problem.case == "odd"
    assert problem.message.startswith("a and spleen lie the other way round (left and right)")
    few = measured([*usual[:3], case("odd", a=30, spleen=10)], labels={"spleen": 3})
    assert list(mirrored_cases(few)) == []


def test_a_case_in_which_most_pairs_keep_their_order_is_not_mirrored(measured: Callable) -> None:
    usual = [case(f"c{n}", a=10, b=30, c=50) for n in range(5)]
    swapped = case("swapped", a=30, b=10, c=50)  # one pair of three
    assert list(mirrored_cases(measured([*usual, swapped], labels={"b": 2, "c": 3}))) == []


def test_labels_without_a_usual_order(measured: Callable) -> None:
    mixed = [case(f"c{n}", a=10 + 20 * (n % 2), spleen=20) for n in range(8)]
    assert list(mirrored_cases(measured(mixed, labels={"spleen": 3}))) == []
