"""Sides and orders of labels, from centroids made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segkit.dataset_check.sides import exchanged_labels, mirrored_cases, side_names
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


def at(name: str, **positions: tuple[float, float, float]) -> CaseFacts:
    """Return a case with labels at these centroids, each with a standard deviation of 2 mm."""
    return facts(
        name,
        labels={
            label: LabelFacts(100, 100.0, position, (2.0, 2.0, 2.0))
            for label, position in positions.items()
        },
    )


SIDES: dict[str, tuple[float, float, float]] = {
    "kidney_left": (10, 20, 30),
    "kidney_right": (30, 20, 25),
    "liver": (32, 30, 32),
}


def test_exchanged_labels_are_one_finding(measured: Callable) -> None:
    """Their order is reversed along two axes, which mirroring the case along one does not do."""
    left, right = SIDES["kidney_left"], SIDES["kidney_right"]
    odd = at("odd", **{**SIDES, "kidney_left": right, "kidney_right": left})
    found = measured([*(at(f"c{n}", **SIDES) for n in range(5)), odd], labels=dict(SIDES))
    (problem,) = exchanged_labels(found)
    assert problem.case == "odd"
    assert problem.message.startswith("kidney_left lies where kidney_right lies in the other cases")
    assert list(side_names(found)) == list(mirrored_cases(found)) == []


def test_a_mirrored_case_is_no_exchange(measured: Callable) -> None:
    mirrored = {name: (40 - x, y, z) for name, (x, y, z) in SIDES.items()}
    usual = [at(f"c{n}", **SIDES) for n in range(5)]
    found = measured([*usual, at("odd", **mirrored)], labels=dict(SIDES))
    (problem,) = mirrored_cases(found)
    assert (problem.case, problem.file) == ("odd", "image")
    assert "mirrored together with its label map" in problem.message
    assert list(side_names(found)) == list(exchanged_labels(found)) == []


def test_one_reversed_pair_is_anatomy(measured: Callable) -> None:
    """Among labels in a row, two neighbors are exchanged along one axis: perhaps a patient."""
    row = {name: (10.0 * n, 0.0, 0.0) for n, name in enumerate("abcde")}
    usual = [at(f"c{n}", **row) for n in range(5)]
    odd = at("odd", **{**row, "a": row["b"], "b": row["a"]})
    found = measured([*usual, odd], labels=dict(row))
    assert list(exchanged_labels(found)) == list(mirrored_cases(found)) == []


def test_a_row_of_two_labels_does_not_tell_which(measured: Callable) -> None:
    usual = [case(f"c{n}", a=10, spleen=30) for n in range(5)]
    found = measured([*usual, case("odd", a=30, spleen=10)], labels={"spleen": 3})
    (problem,) = mirrored_cases(found)
    assert problem.file == "label"
    assert "the labels are exchanged, or the scan is mirrored" in problem.message


def test_labels_without_a_usual_order(measured: Callable) -> None:
    mixed = [case(f"c{n}", a=10 + 20 * (n % 2), spleen=20) for n in range(8)]
    assert list(mirrored_cases(measured(mixed, labels={"spleen": 3}))) == []
