"""Figures as PNG and SVG."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from segkit.report.figures import (
    COLORS,
    Line,
    add_band_note,
    draw_lines,
    logarithmic_axis,
    new_figure,
    save_figure,
    style_of,
)

BAND = Line("group", [1, 2, 4], [0.80, 0.81, 0.82], [0.79, 0.80, 0.81], [0.81, 0.82, 0.83])


def test_a_figure_is_a_png_and_an_svg_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        figure, (axes,) = new_figure()
        draw_lines(axes, [BAND, Line("$x_1$", [2], [0.5])], x_label="batch", y_label="Dice")
        assert save_figure(figure, tmp_path / name) == tmp_path / f"{name}.png"
    for suffix in ("png", "svg"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.png",
        "one.svg",
        "two.png",
        "two.svg",
    ]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (572, 396)


def test_a_line_has_its_points_and_its_band() -> None:
    _, (axes,) = new_figure()
    draw_lines(axes, [BAND], x_label="batch", y_label="Dice", log_x=True)
    assert list(axes.lines[0].get_ydata()) == [0.80, 0.81, 0.82]
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.79, 0.83)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4"]
    assert axes.get_legend() is None


def test_a_single_point_has_a_bar_instead_of_a_band() -> None:
    _, (axes,) = new_figure()
    draw_lines(axes, [Line("group", [1], [0.8], [0.7], [0.9])], x_label="", y_label="")
    assert list(axes.lines[1].get_ydata()) == [0.7, 0.9]
    assert not axes.collections


def test_single_points_and_their_bars_lie_beside_each_other() -> None:
    figure, (axes,) = new_figure()
    lines = [Line(name, [2], [0.7], [0.6], [0.8]) for name in ("group", "batch")]
    draw_lines(axes, lines, x_label="batch size", y_label="Dice", log_x=True)
    figure.draw_without_rendering()
    group, group_bar, batch, batch_bar = (line.get_window_extent() for line in axes.lines)
    assert group.x0 == pytest.approx(group_bar.x0, abs=4)
    assert batch.x0 - group.x0 == pytest.approx(5 / 72 * figure.dpi)
    assert not batch_bar.overlaps(group_bar)
    assert axes.get_ylim()[0] < 0.6
    assert axes.get_ylim()[1] > 0.8


def test_the_legend_covers_nothing() -> None:
    figure, (axes,) = new_figure()
    many = [replace(BAND, label=f"a rather long name {number}") for number in range(9)]
    draw_lines(axes, many, x_label="batch size", y_label="Dice")
    add_band_note(axes, "95 % interval over cases and seeds")
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    extent = legend.get_window_extent()
    assert extent.y1 < axes.xaxis.get_label().get_window_extent().y0
    assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1
    assert extent.y0 >= 0


@pytest.mark.parametrize(
    "values", [[0.0519, 0.0742], [0.2, 0.95], [1e-3, 4.7], [1, 70], [4e8, 3.1e9], [3e8, 3.1e8]]
)
def test_ticks_of_a_logarithmic_axis_do_not_touch(values: list[float]) -> None:
    figure, (axes,) = new_figure()
    draw_lines(axes, [Line("a", values, values)], x_label="cost", y_label="Dice")
    logarithmic_axis(axes, values)
    figure.draw_without_rendering()
    low, high = axes.get_xlim()
    shown = [
        label.get_window_extent()
        for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert len(shown) > 1
    assert all(left.x1 < right.x0 for left, right in pairwise(shown))


def test_the_number_of_a_line_decides_its_looks() -> None:
    _, (axes,) = new_figure()
    lines = [Line("batch", [1], [0.8], number=3), Line("group", [1], [0.8], number=0)]
    draw_lines(axes, lines, x_label="", y_label="")
    assert [line.get_color() for line in axes.lines] == [COLORS[3], COLORS[0]]
    add_band_note(axes, "95 % interval")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["batch", "group", "95 % interval"]


@pytest.mark.parametrize(("panels", "size"), [(1, (5.2, 3.6)), (3, (10.4, 7.2))])
def test_panels_are_laid_out_row_by_row(panels: int, size: tuple[float, float]) -> None:
    figure, axes = new_figure(panels)
    assert (len(axes), tuple(figure.get_size_inches())) == (panels, size)
    assert sum(part.axison for part in figure.axes) == panels


def test_many_lines_stay_different() -> None:
    assert len({tuple(style_of(number).values()) for number in range(24)}) == 24


def test_the_legend_of_five_lines_with_a_note_is_not_wider_than_its_panel() -> None:
    figure, (axes, *_) = new_figure(3, columns=3)
    lines = [Line(f"equivariant, by parameters {n}", [2, 4], [0.1, 0.2]) for n in range(5)]
    draw_lines(axes, lines, x_label="cases", y_label="Dice")
    add_band_note(axes, "95 % interval over cases and seeds")
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().width < axes.get_window_extent().width
