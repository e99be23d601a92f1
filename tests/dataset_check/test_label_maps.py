from __future__ import annotations

from collections.abc import Callable

from segkit.dataset_check.label_maps import blurred_edges, inverted_masks, rare_labels, two_encodings

from .conftest import facts, label


def shades(thickness: float) -> list:
    labels = {f"label_{value}": label(30, thickness) for value in range(1, 12)} | {"label_255": label(5000)}
    return [facts("c", labels=labels)]


def test_shades_at_the_edge_of_a_mask(measured: Callable) -> None:
    (problem,) = blurred_edges(measured(shades(1.2)))
    assert problem.message.startswith("the label maps hold 12 values, 11 of which are only seams of 1 or 2 voxels")
    assert "Save the masks again" in problem.message


def test_many_labels_that_are_no_seams(measured: Callable) -> None:
    assert list(blurred_edges(measured(shades(3.0)))) == []


def test_masks_of_255_beside_masks_of_1(measured: Callable) -> None:
    cases = [facts("x", labels={"label_1": label()}), facts("y", labels={"label_255": label()})]
    both = measured(cases)
    two = measured(cases, labels={})
    values = {"label_1": 1, "label_255": 255}
    dataset = type(both.dataset)("d", both.dataset.root, ("MR",), values, both.dataset.cases)
    (problem,) = two_encodings(type(both)(dataset, cases))
    assert problem.message.startswith("1 label maps (such as x) have only the value 1 and 1 (such as y) only 255")
    assert list(two_encodings(two)) == []


def test_an_inverted_mask(measured: Callable) -> None:
    cases = [facts(name, border=share) for name, share in (("x", 0.0), ("y", 0.05), ("z", 0.97))]
    (problem,) = inverted_masks(measured(cases))
    assert problem.case == "z"
    assert problem.message.startswith("97% of the image's border are labelled, where it is background")


def test_masks_that_all_reach_the_border(measured: Callable) -> None:
    assert list(inverted_masks(measured([facts(name, border=0.9) for name in "xyz"]))) == []


def test_a_label_in_one_case(measured: Callable) -> None:
    both = {"a": label(), "b": label()}
    cases = [facts("x", labels=both), facts("y"), facts("z")]
    (problem,) = rare_labels(measured(cases, labels={"b": 2}))
    assert problem.message.startswith("label b occurs in 1 of 3 cases (x): a fold that validates on it")
    assert list(rare_labels(measured([facts("x", labels=both), *cases], labels={"b": 2}))) == []
    assert list(rare_labels(measured(cases[:2], labels={"b": 2}))) == []
