"""Dice on real scans; minutes each: `make test-slow`, with the data in SEGKIT_TEST_DATA."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.cli import main
from segkit.dataset.layouts import read_dataset
from segkit.io import read_volume

pytestmark = pytest.mark.slow

ORGANS = "{spleen:1,liver:5,stomach:6,kidney_right:2,kidney_left:3}"


def validated(dataset: Path, run: Path, out: Path) -> dict[str, float]:
    """Predict the validation cases of a run; return the Dice of each label on the scans' grids."""
    held_out = set(json.loads((run / "split.json").read_text())["validation"])
    data = read_dataset(dataset)
    cases = data.select(sorted(held_out))
    table = out / "cases.csv"
    out.mkdir()
    several = len(cases[0].images) > 1
    channels = ",".join(f"image:{name}" for name in data.channels) if several else "image"
    rows = [",".join([case.id, *map(str, case.images)]) for case in cases]
    table.write_text("\n".join([f"case,{channels}", *rows]) + "\n")
    assert main(["predict", str(table), "-m", str(run), "-o", str(out / "maps")]) == 0
    labels = segkit.evaluate(out / "maps", dataset).summary["labels"]
    return {name: metrics["dice"] for name, metrics in labels.items()}


def trained(overrides: Sequence[str], run: Path) -> Path:
    assert main(["train", *overrides, f"run_dir={run}"]) == 0
    return run


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hippocampus_in_3d(seed: int, data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "Task04_Hippocampus"
    run = trained(
        [f"dataset={dataset}", "fold=0", f"seed={seed}", "trainer.max_minutes=10"], tmp_path / "run"
    )
    dice = validated(dataset, run, tmp_path / "out")
    assert np.mean(list(dice.values())) >= 0.87
    assert min(dice.values()) >= 0.86


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hippocampus_in_2d(seed: int, data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "Task04_Hippocampus"
    words = [f"dataset={dataset}", "network.dims=2", f"seed={seed}", "trainer.max_minutes=10"]
    dice = validated(dataset, trained(words, tmp_path / "run"), tmp_path / "out")
    assert np.mean(list(dice.values())) >= 0.80


def test_five_organs_in_one_ct(data_root: Path, tmp_path: Path) -> None:
    for kind, name in (("images", "example_ct_sm"), ("labels", "example_seg")):
        (tmp_path / "ct" / kind).mkdir(parents=True)
        shutil.copy(data_root / f"ct/{name}.nii.gz", tmp_path / f"ct/{kind}/case.nii.gz")
    words = [
        f"dataset={tmp_path / 'ct'}",
        "dataset.channels=[CT]",
        f"dataset.labels={ORGANS}",
        "fold=all",
    ]
    run = trained([*words, "trainer.max_minutes=10"], tmp_path / "run")
    model = segkit.load(run)
    found = model.predict(data_root / "ct/example_ct_sm.nii.gz").array[0]
    reference = read_volume(data_root / "ct/example_seg.nii.gz").array[0]
    for value in (1, 5, 6, 2, 3):
        ours, theirs = found == value, reference == value
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) >= 0.85
    other = read_volume(data_root / "ct/example_ct.nii.gz")
    assert model.predict(data_root / "ct/example_ct.nii.gz").array.shape[1:] == other.grid.shape


def test_vessels_of_the_retina(data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "retina"
    run = trained([f"dataset={dataset}", "trainer.max_minutes=10"], tmp_path / "run")
    assert min(validated(dataset, run, tmp_path / "out").values()) >= 0.80
    mask = next((tmp_path / "out/maps").glob("*.png"))
    assert set(np.unique(read_volume(mask).array)) == {0, 255}


def test_membranes_under_the_electron_microscope(data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "em_membrane"
    run = trained([f"dataset={dataset}", "trainer.max_minutes=3"], tmp_path / "run")
    assert min(validated(dataset, run, tmp_path / "out").values()) >= 0.85


def test_eight_labels_of_the_fetal_brain(data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "fetal_brain"
    run = trained([f"dataset={dataset}", "trainer.max_minutes=15"], tmp_path / "run")
    dice = validated(dataset, run, tmp_path / "out")
    assert np.mean(list(dice.values())) >= 0.90
    assert min(dice.values()) >= 0.70


def test_two_channels_of_brain_tumours(data_root: Path, tmp_path: Path) -> None:
    dataset = data_root / "brain_tumour/cases.csv"
    run = trained([f"dataset={dataset}", "trainer.max_minutes=15"], tmp_path / "run")
    dice = validated(dataset, run, tmp_path / "out")
    # Measured 0.82 for both after 599 steps; three cases do not teach the two small parts.
    assert min(dice["label_2"], dice["label_4"]) >= 0.7
