"""Names of channels and labels in a dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkit.dataset.dataset_json import (
    channels_of_json,
    check_ignore,
    checked_labels,
    labels_of_json,
    notices_of_json,
)
from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.labels.scheme import LabelScheme

WHERE = Path("dataset.json")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "clear", "1": "a", "-5": "b"}, {"a": 1, "b": -5}),
        ({"background": 0, "a": 7, "b": "8"}, {"a": 7, "b": 8}),
        ({"background": "0", "a": "1"}, {"a": 1}),
        ({}, {}),
    ],
)
def test_both_notations(labels: dict[str, Any], expected: dict[str, int]) -> None:
    assert labels_of_json(WHERE, labels) == LabelScheme(expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"whole": [1, 1.5]}, r"found 'whole': \[1, 1.5\]"),
        ({"whole": []}, r"found 'whole': \[\]"),
        ({"a": 1, "ignore": [2]}, r"found 'ignore': \[2\]"),
        ({"a": 2, "ignore": 2}, "found 2 for a and for ignore"),
        ({"0": "ignore", "1": "a"}, "found ignore: 0. 0 is background"),
        ({"a": 1.5}, "found 'a': 1.5"),
        ({"a": True}, "found 'a': True"),
        (["a"], "found list"),
        ({"1": "a", "2": "a"}, "found 'a' twice"),
        ({"a": 1, "b": 1}, "found 1 for a and for b"),
    ],
)
def test_unusable_labels(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labels_of_json(WHERE, labels)


def test_the_name_ignore_is_no_label() -> None:
    assert labels_of_json(WHERE, {"background": 0, "a": 1, "ignore": 9}) == LabelScheme(
        {"a": 1}, {}, 9
    )
    assert labels_of_json(WHERE, {"1": "a", "4": "ignore"}) == LabelScheme({"a": 1}, {}, 4)


REGIONS = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumour": 2}


def test_regions_are_written_as_regions_class_order_says_or_by_the_rule() -> None:
    made_of = {"kidney": (1, 2, 3), "masses": (2, 3), "tumour": (2,)}
    written = {"kidney": 1, "masses": 3, "tumour": 2}
    assert labels_of_json(WHERE, {**REGIONS, "ignore": 4}, [1, 3, 2]) == LabelScheme(
        written, made_of, 4
    )
    assert labels_of_json(WHERE, REGIONS) == LabelScheme(written, made_of)


@pytest.mark.parametrize("order", [[1, 3], [1, 2, 2], [1, 3, 7], [1, True, 2], 5, [[1], [3], [2]]])
def test_unusable_orders_of_regions(order: Any) -> None:
    with pytest.raises(
        InputError, match=r"for each region one of its values that no later region has, found"
    ):
        labels_of_json(WHERE, REGIONS, order)


def test_a_region_of_nothing_but_later_ones() -> None:
    with pytest.raises(InputError, match="List the regions from large to small"):
        labels_of_json(WHERE, {"core": [2], "whole": [1, 2]})


@pytest.mark.parametrize(
    ("scheme", "found"),
    [(LabelScheme({"a": 4}), "4, which is a"), (LabelScheme({"a": 1}, {"a": (1, 4)}), "4, which")],
)
def test_an_ignore_value_that_something_has(scheme: LabelScheme, found: str) -> None:
    with pytest.raises(InputError, match=f"an ignore value that no label has, found {found}"):
        check_ignore(WHERE, scheme, 4)


def test_a_label_of_the_user_may_not_be_zero() -> None:
    assert checked_labels("d", {"background": 0, "a": 2}) == {"a": 2}
    with pytest.raises(InputError, match=r"found a: 0\. 0 is background"):
        checked_labels("d", {"a": 0})


def test_channels_by_number_or_as_a_list() -> None:
    assert channels_of_json(WHERE, {"10": "b", "9": "a"}) == ("a", "b")
    assert channels_of_json(WHERE, ["a", "b"]) == ("a", "b")
    with pytest.raises(InputError, match="expected channel names such as"):
        channels_of_json(WHERE, {"CT": 0})


@pytest.mark.parametrize(
    ("text", "message"), [("{", "expected JSON"), ("[]", "expected a JSON object, found list")]
)
def test_unreadable_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "dataset.json")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"labels": {"a": "' + "9" * 5000 + '"}, "training": []}',
        '{"labels": {}, "channel_names": {"' + "9" * 5000 + '": "CT"}, "training": []}',
    ],
)
def test_hostile_descriptions_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json: expected"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"background": 1, "organ": 2}, "found background: 1"),
        ({"background": 1, "organ": 0}, "found background: 1"),
        ({"background": 0, "organ": 0, "core": 1}, "found 0 for background and organ"),
    ],
)
def test_background_is_0_and_alone_there(labels: dict[str, int], found: str) -> None:
    with pytest.raises(InputError, match=found):
        labels_of_json(WHERE, labels)


def test_a_structure_with_the_value_0_is_reported() -> None:
    (notice,) = notices_of_json({"labels": {"organ": 0, "core": 1}}, 1)
    assert notice.startswith("'organ' has the value 0 and is taken as background")
    assert notices_of_json({"labels": {"0": "liver", "1": "core"}}, 1)


@pytest.mark.parametrize(
    "name", ["background", "Background", "BG", "Clear Label", "unlabelled", "no label"]
)
def test_names_of_background(name: str) -> None:
    assert not notices_of_json({"labels": {name: 0, "core": 1}}, 1)
    assert not notices_of_json({"labels": {"0": name, "1": "core"}}, 1)


def test_a_channel_that_is_ct_in_one_of_two_notations() -> None:
    (notice,) = notices_of_json({"channel_names": {"0": "T1"}, "modality": {"0": "CT"}}, 1)
    assert "calls channel 0 'T1' under channel_names and 'CT' under modality" in notice
    assert not notices_of_json({"channel_names": {"0": "T1"}, "modality": {"0": "MRI"}}, 1)
    assert not notices_of_json({"channel_names": {"0": "CT"}, "modality": {"0": "ct"}}, 1)
