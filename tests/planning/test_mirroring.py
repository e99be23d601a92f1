from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from segkit.errors import UsageError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.fingerprint.label_facts import LabelFacts
from segkit.planning.mirroring import Mirroring, choose_mirroring, label_orders

APART = {"a": (20.0, 10.0, 20.0), "b": (20.0, 30.0, 20.0)}
BESIDE = {"a": (20.0, 10.0, 20.0), "b": (20.0, 14.0, 20.0)}
ONE = ((1.0, 1.0, 1.0),)


def mirroring(
    measured: Fingerprint, axes: Sequence[int] = (0, 1, 2), choice: Any = "auto"
) -> Mirroring:
    return choose_mirroring(measured, list(measured.cases[0].labels), axes, choice)


def test_an_order_forbids_its_axis_and_names_the_labels(fingerprint: Any) -> None:
    found = mirroring(fingerprint())
    assert (found.axes, found.swaps) == ((0, 2), ())
    assert "y is not mirrored: a lies behind b along y in 10 of 10 cases." in found.reason
    assert "x is mirrored" in found.reason


def test_all_axes_as_asked(fingerprint: Any) -> None:
    reason = "All, as asked (augment.mirror=all); labels keep their names, as in nnU-Net."
    sides = fingerprint(centroids={"left": (20.0, 10.0, 20.0), "right": (30.0, 10.0, 20.0)})
    assert mirroring(sides, (0, 1), "all") == Mirroring((0, 1), (), reason)


def test_one_case_is_enough_for_organs_that_lie_apart(fingerprint: Any) -> None:
    assert mirroring(fingerprint(spacings=ONE, centroids=APART)).axes == (0, 2)


def test_few_cases_say_nothing_about_parts_of_one_thing(fingerprint: Any) -> None:
    assert mirroring(fingerprint(spacings=ONE * 4, centroids=BESIDE)).axes == (0, 1, 2)
    assert mirroring(fingerprint(spacings=ONE * 6, centroids=BESIDE)).axes == (0, 2)


def test_a_nearly_symmetric_pair_may_be_mirrored(fingerprint: Any) -> None:
    centroids = {"a": (20.0, 10.0, 20.0), "b": (20.9, 10.0, 20.0)}
    assert label_orders(fingerprint(centroids=centroids)) == []


def swapped(measured: Fingerprint, count: int) -> Fingerprint:
    """The first ``count`` cases with a and b exchanged."""
    cases = [
        replace(case, labels={"a": case.labels["b"], "b": case.labels["a"]})
        if number < count
        else case
        for number, case in enumerate(measured.cases)
    ]
    return replace(measured, cases=tuple(cases))


def test_19_of_20_cases_agree_18_do_not(fingerprint: Any) -> None:
    measured = fingerprint(spacings=ONE * 20)
    assert mirroring(swapped(measured, 1)).axes == (0, 2)
    assert "in 19 of 20 cases" in mirroring(swapped(measured, 1)).reason
    assert mirroring(swapped(measured, 2)).axes == (0, 1, 2)


def test_cases_without_both_labels_do_not_count(fingerprint: Any) -> None:
    measured = fingerprint()
    lonely = replace(measured.cases[0], labels={"a": measured.cases[0].labels["a"]})
    assert label_orders(replace(measured, cases=(lonely, *measured.cases[1:])))[0].cases == 9
    assert label_orders(replace(measured, cases=(lonely,))) == []


def test_labels_of_one_voxel_have_no_extent(fingerprint: Any) -> None:
    measured = fingerprint()
    points = {
        name: LabelFacts(1, 1.0, facts.centroid, (0.0,) * 3)
        for name, facts in measured.cases[0].labels.items()
    }
    cases = tuple(replace(case, labels=points) for case in measured.cases)
    assert [order.axis for order in label_orders(replace(measured, cases=cases))] == [1]


def test_more_pairs_are_counted(fingerprint: Any) -> None:
    centroids = {name: (20.0, 20.0 * i, 20.0) for i, name in enumerate("abcd")}
    assert (
        "a lies behind d along y in 10 of 10 cases (and 5 more pairs)"
        in mirroring(fingerprint(centroids=centroids)).reason
    )
    del centroids["c"], centroids["d"]
    centroids["b"] = (20.0, 20.0, 20.0)
    assert "more pair" not in mirroring(fingerprint(centroids=centroids)).reason


def test_pictures_have_other_words(fingerprint: Any) -> None:
    assert "a lies above b along y" in mirroring(fingerprint(unit="px"), (0, 1)).reason


def test_2d_drops_the_slice_axis(fingerprint: Any) -> None:
    assert mirroring(fingerprint(), (1, 2)).axes == (2,)


@pytest.mark.parametrize(
    ("choice", "expected"), [("none", ()), (None, ()), ([2, 1], (1, 2)), ([], ())]
)
def test_the_user_overrides(fingerprint: Any, choice: Any, expected: tuple[int, ...]) -> None:
    assert mirroring(fingerprint(), (0, 1, 2), choice).axes == expected


@pytest.mark.parametrize("choice", ["x", [3], [0], 7])
def test_unknown_choices_are_refused(fingerprint: Any, choice: Any) -> None:
    with pytest.raises(
        UsageError,
        match=r"augment\.mirror=.* is not known\. Use auto, none, all, or a list out of \[1, 2\]",
    ):
        mirroring(fingerprint(), (1, 2), choice)


KIDNEYS = {"left kidney": (10.0, 20.0, 20.0), "right kidney": (30.0, 20.0, 20.0)}


def test_left_and_right_change_names_with_their_axis(fingerprint: Any) -> None:
    found = mirroring(fingerprint(centroids=KIDNEYS))
    assert found.axes == (0, 1, 2)
    assert found.swaps == (("left kidney", "right kidney"),)
    assert "x is mirrored: left kidney and right kidney exchange names with it." in found.reason


def test_a_label_in_the_middle_does_not_mind(fingerprint: Any) -> None:
    assert mirroring(fingerprint(centroids=KIDNEYS | {"spine": (20.0, 5.0, 20.0)})).axes == (0, 2)
    assert mirroring(fingerprint(centroids=KIDNEYS | {"spine": (21.0, 20.0, 20.0)})).axes == (
        0,
        1,
        2,
    )


def test_a_label_that_lies_on_one_side_forbids_x(fingerprint: Any) -> None:
    found = mirroring(fingerprint(centroids=KIDNEYS | {"liver": (30.0, 20.0, 20.0)}))
    assert (found.axes, found.swaps) == ((1, 2), ())
    assert "x is not mirrored: left kidney lies left of liver" in found.reason
    assert "in 10 of 10 cases, and the sides are not mirror images" in found.reason


def test_sides_that_are_no_mirror_images_forbid_x(fingerprint: Any) -> None:
    chambers = {"left ventricle": (10.0, 10.0, 20.0), "right ventricle": (30.0, 20.0, 20.0)}
    found = mirroring(fingerprint(centroids=chambers))
    assert found.axes == (2,)
    assert "x is not mirrored: left ventricle lies behind right ventricle along y" in found.reason


def test_a_side_without_its_partner_forbids_x(fingerprint: Any) -> None:
    found = mirroring(fingerprint(centroids={"left atrium": (10.0, 10.0, 20.0)}))
    assert found.axes == (1, 2)
    assert (
        "x is not mirrored: left atrium has a side by its name, and no label is the other side."
        in found.reason
    )


def test_axes_that_are_asked_for_are_mirrored_with_a_change_of_names(fingerprint: Any) -> None:
    others = {"liver": (30.0, 20.0, 20.0), "lung_middle_lobe_right": (30.0, 20.0, 40.0)}
    measured = fingerprint(centroids=KIDNEYS | others)
    asked = mirroring(measured, choice=[0, 1])
    assert (asked.axes, asked.swaps) == ((0, 1), (("left kidney", "right kidney"),))
    assert "With x, left kidney and right kidney exchange names." in asked.reason
    assert (
        "lung_middle_lobe_right: no label names the other side, so the name stays." in asked.reason
    )
    assert mirroring(measured, choice=[1]).swaps == mirroring(measured, choice="none").swaps == ()
