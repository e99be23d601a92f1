"""KEY=VALUE words, read once."""

from __future__ import annotations

import pytest

from segkit.config.overrides import given_keys, read_overrides
from segkit.errors import UsageError


def test_short_names_stand_for_full_keys() -> None:
    overrides = read_overrides(["dataset=a=b", "network=unet", "plan=p.json", "seed=1"])
    assert overrides.texts == {
        "dataset.path": "a=b",
        "network.name": "unet",
        "plan.file": "p.json",
        "seed": "1",
    }


def test_the_file_of_a_run_sets_no_key_itself() -> None:
    words = ["config=runs/a/config.yaml", "seed=1"]
    overrides = read_overrides(words)
    assert overrides.run_file == "runs/a/config.yaml"
    assert [override.word for override in overrides.settings] == ["seed=1"]
    assert given_keys(words) == {"seed"}
    assert read_overrides(["seed=1"]).run_file is None


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("dataset=my scans, new", "my scans, new"),
        ("weights=null", None),
        ("weights=", None),
        ("dataset.channels=[FLAIR, T1]", ["FLAIR", "T1"]),
        ("dataset.labels={left lung:1}", {"left lung": 1}),
        ("dataset.regions={whole:[1,2],core:2}", {"whole": [1, 2], "core": [2]}),
    ],
)
def test_paths_and_names_are_taken_as_typed(word: str, value: object) -> None:
    (override,) = read_overrides([word]).settings
    assert override.taken_as_typed
    assert override.typed_value() == value


@pytest.mark.parametrize("word", ["seed=1", "network=unet", "dataset"])
def test_other_words_are_for_hydra(word: str) -> None:
    (override,) = read_overrides([word]).settings
    assert not override.taken_as_typed


def test_two_names_of_one_key_are_given_twice() -> None:
    with pytest.raises(UsageError, match=r"dataset\.path is given twice: give it one value$"):
        read_overrides(["dataset=a", "dataset.path=b"])
