"""Tests that progress.png is drawn whatever the names of the labels are."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from segkit.report.progress import write_progress_picture

Rows = list[dict[str, float | str]]


def rows(labels: list[str]) -> Rows:
    """Return two rows, the second with Dice."""
    first: dict[str, float | str] = {"step": 1, "loss": 2.0, "learning_rate": 0.1, "dice": ""}
    first |= {"seconds_per_step": 0.5, "data_share": 0.01}
    scores: dict[str, float | str] = {"dice": 0.5, **{f"dice_{name}": 0.5 for name in labels}}
    return [first, {**first, "step": 2, **scores}]


@pytest.mark.parametrize(
    "labels",
    [
        ["liver"],
        ["$x$_{", "_hidden", "肝臓"],
        [f"organ {i}" for i in range(12)],
        [f"{i}" for i in range(117)],
    ],
)
def test_any_labels(labels: list[str], tmp_path: Path) -> None:
    write_progress_picture(tmp_path / "p.png", rows(labels), labels)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (800, 900)


def test_the_band_is_drawn(tmp_path: Path) -> None:
    drawn = []
    for width in (0.0, 0.2):
        for count in (1, 2):  # a bar, and a band
            made = rows(["liver"])
            scored = [
                {**made[1], "step": step, "ci95_dice_liver": width} for step in range(2, 2 + count)
            ]
            write_progress_picture(tmp_path / "p.png", [made[0], *scored], ["liver"])
            drawn.append((tmp_path / "p.png").read_bytes())
    assert len(set(drawn)) == 4


def test_a_training_without_validation_says_so(tmp_path: Path) -> None:
    write_progress_picture(tmp_path / "without.png", rows([])[:1], ["liver"])
    write_progress_picture(tmp_path / "with.png", rows(["liver"]), ["liver"])
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "with.png").read_bytes()
