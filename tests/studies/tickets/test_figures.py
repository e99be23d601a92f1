"""Figures of a small study: every one that has data, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path

from segkit.studies.tickets.curves import ONE_SHOT, PRUNED, read_curves
from segkit.studies.tickets.figures import _ratios, controls_figure, write_figures

from .conftest import MakeRows

DENSE = {(case, seed): 0.5 + 0.125 * seed for case in "abc" for seed in (0, 1)}


def test_every_figure_with_data_is_written(tmp_path: Path, dice_rows: MakeRows) -> None:
    rows = [
        *dice_rows(DENSE),
        *dice_rows(DENSE, level=1),
        *dice_rows(DENSE, level=2, kind="random"),
    ]
    rows += dice_rows(DENSE, level=1, measure=PRUNED) + dice_rows(DENSE, level=1, measure=ONE_SHOT)
    density = [
        {"norm": "group", "level": level, "layer": name, "density": 0.5**level}
        for level in (0, 1)
        for name in ("encoder.0", "encoder.1")
    ]
    activations = [
        {"norm": "group", "level": 1, "side": side, "change": "one_shot", "sd_ratio": 0.5}
        for side in ("before the norm", "after the norm")
    ]
    pictures = write_figures(
        tmp_path, read_curves(rows), ["group"], activations=activations, density=density
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{suffix}" for name in pictures for suffix in ("png", "svg")
    }
    assert len(pictures) == 5
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.values())


def test_figures_without_data_are_left_out(tmp_path: Path, dice_rows: MakeRows) -> None:
    curves = read_curves(dice_rows(DENSE))
    pictures = write_figures(tmp_path, curves, ["group", "batch"], activations=[], density=[])
    assert set(pictures) == {"tickets_and_controls", "norms"}


def test_lines_go_from_dense_to_sparse(dice_rows: MakeRows) -> None:
    curves = read_curves([*dice_rows(DENSE), *dice_rows(DENSE, level=2)])
    (axes,) = controls_figure(curves, ["group"]).axes
    (line,) = axes.get_lines()
    assert list(line.get_xdata()) == [100.0, 25.0]
    assert list(line.get_ydata()) == [0.5625, 0.5625]
    left, right = axes.get_xlim()
    assert left > right


def test_ratios_are_averaged_geometrically() -> None:
    rows = [{"level": 1, "sd_ratio": ratio} for ratio in (0.5, 0.125, None)]
    assert _ratios(rows, {0: 1.0, 1: 0.8}) == [(100.0, 1.0), (80.0, 0.25)]
