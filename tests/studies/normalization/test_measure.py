"""All measurements of a cell, as rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.errors import InputError
from segkit.studies.memory_process import is_measurable
from segkit.studies.normalization.measure import fixed_memory, measure_cell
from segkit.studies.normalization.measurement import COLUMNS, MEASURES

CAPACITY = {"largest_patch_voxels", "largest_width"}
linux = pytest.mark.skipif(not is_measurable("cpu"), reason="memory is measured on Linux")


@linux
def test_a_cell_has_every_measure(batch_run: Path) -> None:
    rows = measure_cell(batch_run, cases=1)
    assert {row["measure"] for row in rows} == MEASURES.keys() - CAPACITY
    assert all(set(row) <= set(COLUMNS) for row in rows)
    assert len({row["case"] for row in rows if "case" in row}) == 1
    keys = [tuple(row.get(name) for name in COLUMNS if name != "value") for row in rows]
    assert len(keys) == len(set(keys))


@pytest.mark.slow  # starts PyTorch in another process
@linux
def test_capacity_of_a_run(batch_run: Path) -> None:
    rows = fixed_memory(batch_run, memory=1, batch_sizes=(1,))
    assert {(row["measure"], row["value"]) for row in rows} == {(name, 0) for name in CAPACITY}


def test_a_run_that_is_not_finished(batch_run: Path, tmp_path: Path) -> None:
    shutil.copytree(batch_run, tmp_path / "run")
    (tmp_path / "run/finished.json").unlink()
    with pytest.raises(
        InputError, match=r"expected the folder of a finished training, found no finished.json"
    ):
        measure_cell(tmp_path / "run")


def test_a_run_without_validation_cases(train_cell: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"split.json: expected validation cases .*, found none"):
        measure_cell(train_cell("fold=all", measured=False))


def test_a_dataset_that_lost_a_case(batch_run: Path, tmp_path: Path) -> None:
    shutil.copytree(batch_run, tmp_path / "run")
    (tmp_path / "run/split.json").write_text('{"training": [], "validation": ["gone"]}')
    with pytest.raises(InputError, match=r"found gone not in .*balls"):
        measure_cell(tmp_path / "run")
