"""Table and figure of the statistics before each norm of a model."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.errors import InputError, UsageError
from segkit.studies import write_bottleneck
from segkit.studies.normalization.bottleneck_figure import bottleneck_figure
from segkit.studies.normalization.trained_cell import TrainedCell


def scans(cell: TrainedCell) -> str:
    return str(cell.config.dataset.path)


def test_table_and_figure_of_a_model(group_cell: TrainedCell, tmp_path: Path) -> None:
    table = write_bottleneck(
        group_cell.run_dir, scans(group_cell), tmp_path, batch_sizes=(1, 2), patches=4
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "bottleneck.csv",
        "bottleneck.png",
        "bottleneck.svg",
    }
    with table.open() as file:
        rows = list(csv.DictReader(file))
    layers = [layer.name for layer in group_cell.plan.network.layers]
    assert {(row["measure"], row["layer"], row["batch"]) for row in rows} == {
        (measure, layer, batch)
        for measure in ("pool", "spread_mean", "spread_sd")
        for layer in layers
        for batch in ("1", "2", "")
    }
    assert list(group_cell.run_dir.parent.iterdir()) == [group_cell.run_dir]


def test_lines_of_the_figure() -> None:
    rows = [
        {"measure": "pool", "layer": name, "batch": size, "value": (size or 4) * voxels + seed}
        for seed in (-1, 1)
        for name, voxels in (("encoder.0.0", 64), ("bottleneck.0", 8))
        for size in (1, 2, None)
    ]
    figure = bottleneck_figure(rows, "group norm")
    assert figure is not None
    (panel,) = figure.axes
    assert {str(line.get_label()): list(line.get_ydata()) for line in panel.lines} == {  # type: ignore[arg-type]
        "batch norm, between batches of 1": [64, 8],
        "batch norm, between batches of 2": [128, 16],
        "group norm, between patches": [256, 32],
    }
    assert bottleneck_figure([{"measure": "dice", "layer": "", "value": 1}], "group norm") is None


@pytest.mark.parametrize(("sizes", "patches"), [((1, 8), 15), ((), 8), ((0,), 8)])
def test_too_few_patches(sizes: tuple[int, ...], patches: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"patches={patches} and batch_sizes=.*: give batch sizes"):
        write_bottleneck("model", "scans", tmp_path, batch_sizes=sizes, patches=patches)


def test_scans_of_another_dataset(group_cell: TrainedCell, phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected the dataset's labels liver=1, .*, found low=3, high=7"
    ):
        write_bottleneck(group_cell.run_dir, phantom, tmp_path)
    with pytest.raises(InputError, match="expected the dataset's channels T1, found MRI"):
        write_bottleneck(group_cell.run_dir, scans(group_cell), tmp_path, "dataset.channels=[T1]")


def test_a_model_without_norms(train_cell: Callable[..., Path], tmp_path: Path) -> None:
    run = train_cell("network.norm=none", measured=False)
    dataset = run.parents[1] / "cells0/balls"
    with pytest.raises(InputError, match="expected a model with norms, found none"):
        write_bottleneck(run, dataset, tmp_path, batch_sizes=(1,), patches=2)
