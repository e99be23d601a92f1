"""Figures of the study from a few rows; a small study writes all of them (test_study.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.studies.tickets.curves import read_curves
from segkit.studies.tickets.figures import (
    _ratios,
    activations_figure,
    after_pruning_figure,
    controls_figure,
    density_figure,
    write_figures,
)

from .conftest import MakeRows

DENSE = {(case, seed): 0.5 + 0.125 * seed for case in "abc" for seed in (0, 1)}


def test_figures_without_data_are_left_out(dice_rows: MakeRows) -> None:
    curves = read_curves(dice_rows(DENSE))
    assert after_pruning_figure(curves, ["group", "batch"]) is None
    assert activations_figure([], ["group"], {0: 1.0}) is None
    assert density_figure([], ["group"], {0: 1.0}) is None


def test_a_study_that_was_stopped_early_has_figures(dice_rows: MakeRows, tmp_path: Path) -> None:
    curves = read_curves(dice_rows(DENSE))
    pictures = write_figures(tmp_path, curves, ["group", "batch"], activations=[], density=[])
    assert list(pictures) == ["tickets_and_controls", "norms"]


def test_density_is_a_map_of_layers_and_levels() -> None:
    rows = [
        {"norm": "group", "level": level, "layer": layer, "density": density}
        for level, layer, density in ((0, "a", 1), (0, "b", 1), (1, "a", 0.25), (1, "a", 0.75))
    ]
    figure = density_figure(rows, ["group"], {0: 1.0, 1: 0.8})
    assert figure is not None
    (image,) = figure.axes[0].get_images()
    assert image.get_array().filled(-1).tolist() == [[100, 50], [100, -1]]  # mean over seeds
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["100", "80"]


def test_lines_go_from_dense_to_sparse(dice_rows: MakeRows) -> None:
    curves = read_curves([*dice_rows(DENSE), *dice_rows(DENSE, level=2)])
    (axes,) = controls_figure(curves, ["group"]).axes
    (line,) = axes.get_lines()
    assert list(line.get_xdata()) == [100.0, 25.0]
    assert list(line.get_ydata()) == [0.5625, 0.5625]
    left, right = axes.get_xlim()
    assert left > right


def test_ratios_are_averaged_geometrically_over_seeds() -> None:
    fact = {"norm": "group", "level": 1, "side": "after the norm", "change": "one_shot"}
    rows = [{**fact, "seed": seed, "sd_ratio": ratio} for seed, ratio in ((0, 0.5), (1, 0.125))]
    assert _ratios(rows, "group", "after the norm", {0: 1.0, 1: 0.8}) == [
        (100.0, 1.0),
        (80.0, pytest.approx(0.25)),
    ]
