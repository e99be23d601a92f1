from __future__ import annotations

from collections.abc import Callable, Iterable

from segkit.dataset_check.label_maps import (
    blurred_edges,
    inverted_masks,
    rare_labels,
    two_encodings,
)
from segkit.fingerprint.case_facts import CaseFacts

from .conftest import facts, label


def numbered(values: Iterable[int]) -> dict[str, int]:
    return {f"label_{value}": value for value in values}


def shades(thickness: float, values: Iterable[int]) -> list[CaseFacts]:
    return [
        facts(
            "c",
            labels={name: label(30, thickness) for name in numbered(values)}
            | {"label_255": label(5000)},
        )
    ]


def test_shades_at_the_edge_of_a_mask(measured: Callable) -> None:
    values = range(1, 12)
    (problem,) = blurred_edges(measured(shades(1.2, values), labels=numbered([*values, 255])))
    assert problem.message.startswith(
        "the label maps contain 12 values, 11 of which are only seams of 1 or 2 voxels"
    )
    assert "Save the masks again" in problem.message


def test_many_labels_that_are_no_seams(measured: Callable) -> None:
    values = range(1, 12)
    assert list(blurred_edges(measured(shades(3.0, values), labels=numbered([*values, 255])))) == []


def test_numbered_vessels_are_thin(measured: Callable) -> None:
    vessels = numbered(range(1, 14))
    cases = [facts("c", labels={name: label(300, 1.5) for name in vessels})]
    assert list(blurred_edges(measured(cases, labels=vessels))) == []


def test_masks_of_255_beside_masks_of_1(measured: Callable) -> None:
    cases = [facts("x", labels={"label_1": label()}), facts("y", labels={"label_255": label()})]
    both = measured(cases)
    two = measured(cases, labels={})
    values = {"label_1": 1, "label_255": 255}
    dataset = type(both.dataset)("d", both.dataset.root, ("MR",), values, both.dataset.cases)
    (problem,) = two_encodings(type(both)(dataset, cases))
    assert problem.message.startswith(
        "1 label maps (such as x) have only the value 1 and 1 (such as y) only 255"
    )
    assert list(two_encodings(two)) == []


def test_an_inverted_mask(measured: Callable) -> None:
    cases = [facts(name, border=share) for name, share in (("x", 0.0), ("y", 0.05), ("z", 0.97))]
    (problem,) = inverted_masks(measured(cases))
    assert problem.case == "z"
    assert problem.message.startswith(
        "97% of the image's border is labeled, where it is background"
    )


def test_masks_that_all_reach_the_border(measured: Callable) -> None:
    assert list(inverted_masks(measured([facts(name, border=0.9) for name in "xyz"]))) == []


def test_a_label_in_one_case(measured: Callable) -> None:
    both = {"a": label(), "b": label()}
    cases = [facts("x", labels=both), facts("y"), facts("z")]
    (problem,) = rare_labels(measured(cases, labels={"b": 2}))
    assert problem.message.startswith(
        "label b occurs in 1 of 3 cases (x): a fold that validates on it"
    )
    assert list(rare_labels(measured([facts("x", labels=both), *cases], labels={"b": 2}))) == []
    three = [facts("x", labels=both | {"c": label()}), *cases[1:]]
    (problem,) = rare_labels(measured(three, labels={"b": 2, "c": 3}))
    assert (
        "label b occurs in 1 of 3 cases (x), and 1 more labels in one case each: "
        in problem.message
    )
    assert list(rare_labels(measured(cases[:2], labels={"b": 2}))) == []
