"""The expected Dice of an ensemble is fitted to the examples of all folds."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from segkit.quality.example_file import write_examples
from segkit.studies.cross_validation.expected_dice import pooled_expected_dice
from segkit.studies.cross_validation.joint_entries import joint_entries
from tests.quality.examples import examples


def folds(folder: Path, count: int) -> list[Path]:
    runs = [folder / f"fold_{number}" for number in range(count)]
    for number, run in enumerate(runs):
        run.mkdir()
        made = examples(3, seed=number)
        write_examples(run, [dataclasses.replace(one, case=f"{number}{one.case}") for one in made])
    return runs


def test_cases_of_all_folds(tmp_path: Path) -> None:
    entry = pooled_expected_dice(folds(tmp_path, 3))["expected_dice"]
    assert (entry["accuracy"]["cases"], entry["accuracy"]["groups"]) == (9, 3)
    assert entry["labels"]["liver"]["dice"] == pytest.approx(0.9, abs=0.02)


def test_one_fold_cannot_say_how_accurate_it_is(tmp_path: Path) -> None:
    runs = folds(tmp_path, 1)
    (tmp_path / "older").mkdir()
    assert pooled_expected_dice([*runs, tmp_path / "older"]) == {}


def test_a_study_without_one_says_how_to_get_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runs = folds(tmp_path, 1)
    found = joint_entries([SimpleNamespace(card={})], runs)  # type: ignore[list-item]
    assert "expected_dice" not in found
    assert f"to measure more: segkit calibrate {tmp_path}" in caplog.text
