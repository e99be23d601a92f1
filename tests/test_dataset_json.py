"""Names of channels and labels in a dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkit.dataset_json import channels_of_json, checked_labels, labels_of_json, read_json
from segkit.errors import InputError

WHERE = Path("dataset.json")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "clear", "1": "a", "-5": "b"}, {"a": 1, "b": -5}),
        ({"background": 0, "a": 7, "b": "8"}, {"a": 7, "b": 8}),
        ({}, {}),
    ],
)
def test_both_notations(labels: dict[str, Any], expected: dict[str, int]) -> None:
    assert labels_of_json(WHERE, labels) == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"whole": [1, 2]}, "found the region 'whole' of several values. .* not supported yet"),
        ({"a": 1, "ignore": 2}, "found an ignore label"),
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


def test_a_label_of_the_user_may_not_be_zero() -> None:
    assert checked_labels("d", {"background": 0, "a": 2}) == {"a": 2}
    with pytest.raises(InputError, match=r"found a: 0\. 0 is background"):
        checked_labels("d", {"a": 0})


def test_channels_by_number_or_as_a_list() -> None:
    assert channels_of_json(WHERE, {"10": "b", "9": "a"}) == ("a", "b")
    assert channels_of_json(WHERE, ["a", "b"]) == ("a", "b")
    with pytest.raises(InputError, match="expected channel names such as"):
        channels_of_json(WHERE, {"CT": 0})


@pytest.mark.parametrize(("text", "message"), [("{", "expected JSON"), ("[]", "expected a JSON object, found list")])
def test_unreadable_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "dataset.json")
