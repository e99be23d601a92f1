"""Names for datasets whose layout has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.dataset_layouts import read_dataset
from segkit.errors import InputError
from segkit.io import write_image, write_labels
from segkit.io.named import named
from segkit.volume import Unit, Volume


def folders(root: Path, *values: int, channels: int = 1, suffix: str = ".nii", unit: Unit = "mm") -> Path:
    labels = np.array(values).reshape(1, -1, 1, 1)
    write_image(root / f"images/a{suffix}", Volume(np.zeros((channels, len(values), 1, 1), np.uint8), np.eye(4), unit))
    write_labels(root / f"labels/a{suffix}", Volume(labels, np.eye(4), unit))
    return root


def test_one_value_is_foreground(tmp_path: Path) -> None:
    data = named(read_dataset(folders(tmp_path, 0, 255)))
    assert (data.labels, data.channels) == ({"foreground": 255}, ("image",))


def test_several_values_and_channels(tmp_path: Path) -> None:
    data = named(read_dataset(folders(tmp_path, 0, 9, 2, channels=3)))
    assert data.labels == {"label_2": 2, "label_9": 9}
    assert data.channels == ("channel_0", "channel_1", "channel_2")


def test_picture_with_colours(tmp_path: Path) -> None:
    assert named(read_dataset(folders(tmp_path, 0, 1, channels=3, suffix=".png", unit="px"))).channels == (
        "red",
        "green",
        "blue",
    )


def test_given_names_stay(tmp_path: Path) -> None:
    data = named(read_dataset(folders(tmp_path, 0, 1, 2), channels=["CT"], labels={"liver": 2}))
    assert (data.labels, data.channels, data.subset) == ({"liver": 2}, ("CT",), True)


def test_no_foreground_anywhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected label maps with foreground, found only 0"):
        named(read_dataset(folders(tmp_path, 0, 0)))
