"""Tests that a dataset is measured again only if a byte of its files has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.fingerprint import measure

Write = Callable[..., Case]


@pytest.fixture
def data(write_case: Write) -> Dataset:
    image = np.random.default_rng(0).normal(size=(4, 5, 6))
    cases = tuple(
        write_case(name, image, np.full(image.shape, label))
        for name, label in (("Smith", 1), ("Jones", 0))
    )
    return Dataset("d", Path("data"), ("MR",), {"a": 1, "b": 2}, cases)


def calls(data: Dataset, store: Path) -> tuple[Any, int]:
    """Return the fingerprint and the number of progress calls: a case is hashed and measured."""
    told: list[int] = []
    return load_or_measure(data, store, lambda done, _total, _case: told.append(done)), len(told)


def test_the_second_time_nothing_is_measured(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert calls(data, tmp_path / "store") == (measure(data), 4)
    caplog.clear()
    assert calls(data, tmp_path / "store") == (measure(data), 2)
    assert caplog.text.count("Jones: no voxel of any label (foreground) in the label map") == 2


def test_names_of_cases_are_not_kept(data: Dataset, tmp_path: Path) -> None:
    load_or_measure(data, tmp_path)
    (place,) = tmp_path.glob("fingerprint-*.json")
    assert "Smith" not in place.read_text()
    renamed = replace(data, cases=tuple(replace(case, id=f"new {case.id}") for case in data.cases))
    assert calls(renamed, tmp_path)[0].cases[0].id == "new Smith"


def test_another_byte_or_name_is_measured_again(data: Dataset, tmp_path: Path) -> None:
    load_or_measure(data, tmp_path)
    assert calls(replace(data, labels={"b": 2, "a": 1}), tmp_path)[1] == 4
    assert calls(replace(data, cases=data.cases[::-1]), tmp_path)[1] == 4
    assert data.cases[0].label is not None
    assert data.cases[1].label is not None
    data.cases[1].label.write_bytes(data.cases[0].label.read_bytes())
    assert calls(data, tmp_path) == (measure(data), 4)


@pytest.mark.parametrize("damage", ["", "{}", '{"unit": "mm", "cases": [], "intensities": []}'])
def test_a_damaged_file_is_measured_again(data: Dataset, tmp_path: Path, damage: str) -> None:
    load_or_measure(data, tmp_path)
    next(tmp_path.glob("fingerprint-*.json")).write_text(damage)
    assert calls(data, tmp_path) == (measure(data), 4)
    assert calls(data, tmp_path)[1] == 2
