"""Precision, memory format and number of steps are the same for all arms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.config.sweep import combinations
from segkit.errors import InputError, UsageError
from segkit.studies.comparable import Measured, measured_once, needs_timing

FOUND = Measured("bfloat16", "channels_last", 0.5)


def test_open_settings_are_fixed() -> None:
    (first, second) = combinations(["dataset=x", "trainer.max_minutes=10", "seed=0,1"])
    fixed = ("trainer.precision=bfloat16", "trainer.layout=channels_last", "trainer.max_steps=960")
    assert FOUND.overrides_for(first) == ("dataset=x", "seed=0", *fixed)
    assert FOUND.overrides_for(second) == ("dataset=x", "seed=1", *fixed)


def test_given_settings_stay() -> None:
    (first, _) = combinations(
        ["dataset=x", "trainer.max_steps=7", "trainer.precision=float32,auto"]
    )
    assert FOUND.overrides_for(first) == (
        "dataset=x",
        "trainer.max_steps=7",
        "trainer.precision=float32",
        "trainer.layout=channels_last",
    )


def test_minutes_that_are_swept_become_steps_of_one_measured_length() -> None:
    found = [
        FOUND.overrides_for(each)[-1]
        for each in combinations(["dataset=x", "trainer.max_minutes=10,20"])
    ]
    assert found == ["trainer.max_steps=960", "trainer.max_steps=1920"]


def test_a_configuration_is_fixed_without_changing_the_one_given() -> None:
    config = load(["dataset=x", "trainer.max_minutes=10"])
    trainer = FOUND.applied_to(config).trainer
    assert (trainer.precision, trainer.layout, trainer.max_steps, trainer.max_minutes) == (
        "bfloat16",
        "channels_last",
        960,
        None,
    )
    assert (config.trainer.precision, config.trainer.max_minutes) == ("auto", 10)
    assert not needs_timing(trainer)


def test_measured_once_and_kept(tmp_path: Path) -> None:
    def refused() -> Measured:
        raise UsageError("3 groups do not divide 4 channels")

    assert measured_once(tmp_path, [refused, lambda: FOUND]) == FOUND
    assert measured_once(tmp_path, [refused]) == FOUND
    assert json.loads((tmp_path / "measured.json").read_text())["seconds"] == 0.5


def test_nothing_can_be_measured(tmp_path: Path) -> None:
    assert measured_once(tmp_path, []) is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "measured.json").write_text("{")
    with pytest.raises(InputError, match=r"measured.json: expected precision, layout and seconds"):
        measured_once(tmp_path, [])
