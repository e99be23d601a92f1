"""The benchmark of held-out groups does not reuse trainings with other settings."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

from segkit.dataset.dataset import Case, Dataset

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "leave_one_group_out.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leave_one_group_out", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_keeps_its_settings(benchmark: ModuleType, tmp_path: Path) -> None:
    image = tmp_path / "a.nii.gz"
    image.touch()
    dataset = Dataset("d", tmp_path, ("MR",), {"organ": 1}, (Case("a", (image,), group="X"),))
    regrouped = Dataset("d", tmp_path, ("MR",), {"organ": 1}, (Case("a", (image,), group="Y"),))
    narrow, wide = (Namespace(features=each, steps=3) for each in ([8, 16], [16, 32]))
    file = tmp_path / "out" / "settings.json"
    for _ in range(2):
        benchmark.keep_settings(file, benchmark.settings_of(dataset, narrow))
    with pytest.raises(SystemExit, match=r"other settings \(features\): give another --out"):
        benchmark.keep_settings(file, benchmark.settings_of(dataset, wide))
    with pytest.raises(SystemExit, match=r"other settings \(groups\)"):
        benchmark.keep_settings(file, benchmark.settings_of(regrouped, narrow))


def test_trainings_without_a_record_are_not_reused(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "fold0-raw-seed0").mkdir()
    with pytest.raises(SystemExit, match="features"):
        benchmark.keep_settings(tmp_path / "settings.json", {"features": [8]})
