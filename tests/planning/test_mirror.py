from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segkit.errors import UsageError
from segkit.planning.case_facts import LabelFacts
from segkit.planning.fingerprint import Fingerprint
from segkit.planning.mirror import label_orders, mirror_axes

APART = {"a": (20.0, 10.0, 20.0), "b": (20.0, 30.0, 20.0)}
BESIDE = {"a": (20.0, 10.0, 20.0), "b": (20.0, 14.0, 20.0)}
ONE = ((1.0, 1.0, 1.0),)


def test_an_order_forbids_its_axis_and_names_the_labels(fingerprint: Any) -> None:
    axes, reason = mirror_axes(fingerprint(), (0, 1, 2))
    assert axes == (0, 2)
    assert "y is not: a lies behind b along y in 10 of 10 cases." in reason
    assert "x is mirrored" in reason


def test_all_axes_as_asked(fingerprint: Any) -> None:
    assert mirror_axes(fingerprint(), (0, 1), "all") == ((0, 1), "All, as asked (augment.mirror=all).")


def test_one_case_is_enough_for_organs_that_lie_apart(fingerprint: Any) -> None:
    assert mirror_axes(fingerprint(spacings=ONE, centroids=APART), (0, 1, 2))[0] == (0, 2)


def test_few_cases_say_nothing_about_parts_of_one_thing(fingerprint: Any) -> None:
    assert mirror_axes(fingerprint(spacings=ONE * 4, centroids=BESIDE), (0, 1, 2))[0] == (0, 1, 2)
    assert mirror_axes(fingerprint(spacings=ONE * 6, centroids=BESIDE), (0, 1, 2))[0] == (0, 2)


def test_a_nearly_symmetric_pair_may_be_mirrored(fingerprint: Any) -> None:
    centroids = {"a": (20.0, 10.0, 20.0), "b": (20.9, 10.0, 20.0)}
    assert label_orders(fingerprint(centroids=centroids)) == []


def swapped(measured: Fingerprint, count: int) -> Fingerprint:
    """The first ``count`` cases with a and b exchanged."""
    cases = [
        replace(case, labels={"a": case.labels["b"], "b": case.labels["a"]}) if number < count else case
        for number, case in enumerate(measured.cases)
    ]
    return replace(measured, cases=tuple(cases))


def test_19_of_20_cases_agree_18_do_not(fingerprint: Any) -> None:
    measured = fingerprint(spacings=ONE * 20)
    assert mirror_axes(swapped(measured, 1), (0, 1, 2))[0] == (0, 2)
    assert "in 19 of 20 cases" in mirror_axes(swapped(measured, 1), (0, 1, 2))[1]
    assert mirror_axes(swapped(measured, 2), (0, 1, 2))[0] == (0, 1, 2)


def test_cases_without_both_labels_do_not_count(fingerprint: Any) -> None:
    measured = fingerprint()
    lonely = replace(measured.cases[0], labels={"a": measured.cases[0].labels["a"]})
    assert label_orders(replace(measured, cases=(lonely, *measured.cases[1:])))[0].cases == 9
    assert label_orders(replace(measured, cases=(lonely,))) == []


def test_labels_of_one_voxel_have_no_extent(fingerprint: Any) -> None:
    measured = fingerprint()
    points = {name: LabelFacts(1, 1.0, facts.centroid, (0.0,) * 3) for name, facts in measured.cases[0].labels.items()}
    cases = tuple(replace(case, labels=points) for case in measured.cases)
    assert [order.axis for order in label_orders(replace(measured, cases=cases))] == [1]


def test_more_pairs_are_counted(fingerprint: Any) -> None:
    centroids = {name: (20.0, 20.0 * i, 20.0) for i, name in enumerate("abcd")}
    assert (
        "a lies behind d along y in 10 of 10 cases (and 5 more pairs)"
        in mirror_axes(fingerprint(centroids=centroids), (0, 1, 2))[1]
    )
    del centroids["c"], centroids["d"]
    centroids["b"] = (20.0, 20.0, 20.0)
    assert "more pair" not in mirror_axes(fingerprint(centroids=centroids), (0, 1, 2))[1]


def test_pictures_have_other_words(fingerprint: Any) -> None:
    assert "a lies above b along y" in mirror_axes(fingerprint(unit="px"), (0, 1))[1]


def test_2d_drops_the_slice_axis(fingerprint: Any) -> None:
    assert mirror_axes(fingerprint(), (1, 2))[0] == (2,)


@pytest.mark.parametrize(("choice", "expected"), [("none", ()), (None, ()), ([2, 1], (1, 2)), ([], ())])
def test_the_user_overrides(fingerprint: Any, choice: Any, expected: tuple[int, ...]) -> None:
    assert mirror_axes(fingerprint(), (0, 1, 2), choice)[0] == expected


@pytest.mark.parametrize("choice", ["x", [3], [0], 7])
def test_unknown_choices_are_refused(fingerprint: Any, choice: Any) -> None:
    with pytest.raises(
        UsageError, match=r"augment\.mirror=.* is not known\. Use auto, none, all, or a list out of \[1, 2\]"
    ):
        mirror_axes(fingerprint(), (1, 2), choice)
