"""Values of the Hippocampus scans, read once for all tests, and of scans made up of numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.dataset.layouts import read_dataset
from segkit.harmonization.values import PROBABILITIES, ChannelValues
from segkit.io.scans import read_volume
from segkit.preprocessing.content_values import channel_values


@pytest.fixture(scope="session")
def scan() -> Callable[[Any], ChannelValues]:
    """scan(numbers) is a channel with these values."""

    def made(numbers: Any) -> ChannelValues:
        values = np.asarray(numbers, dtype=np.float64)
        return ChannelValues(np.quantile(values, PROBABILITIES), values.mean(), values.std())

    return made


@pytest.fixture(scope="session")
def hippocampus(data_root: Path) -> list[tuple[ChannelValues, ...]]:
    """Values of the 200 scans."""
    dataset = read_dataset(data_root / "Task04_Hippocampus")
    return [channel_values(read_volume(case.images[0])) for case in dataset.cases]


@pytest.fixture(scope="session")
def hippocampus_groups(hippocampus: list[tuple[ChannelValues, ...]]) -> list[str]:
    """Group of each scan by its mean intensity: 8-bit, about 400, about 170,000."""
    return [
        "low" if own.mean < 100 else "high" if own.mean > 5000 else "middle"
        for (own,) in hippocampus
    ]
