"""Frames of a 3D dataset as small as the hippocampus, and of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.fingerprint import Fingerprint, Intensity
from segkit.fingerprint.label_facts import LabelFacts
from segkit.planning.planner import make_plan
from segkit.studies.scaling.candidate import Frame


def frame_for(shape: Any, *, plan: PlanConfig | None = None, **network: Any) -> Frame:
    """Return the frame of ten equal scans of ``shape`` with labels a and b."""
    labels = {name: LabelFacts(99, 99.0, (9.0, 9.0, 9.0), (4.0, 4.0, 4.0)) for name in "ab"}
    case = CaseFacts("case", shape, (1.0, 1.0, 1.0), shape, labels)
    intensity = Intensity(minimum=0, lower=0, median=2, mean=2, upper=3, maximum=5, std=1)
    dataset = Dataset("d", Path("d"), ("MR",), {"a": 1, "b": 2}, ())
    config = NetworkConfig(**network)
    decided = make_plan(
        Fingerprint("mm", (case,) * 10, (intensity,)), dataset, config, plan or PlanConfig(), 2
    )
    return Frame(decided, config, shape)


@pytest.fixture(scope="session")
def frame() -> Frame:
    """The planner's own patch is 40 x 56 x 40, with four stages of 16 to 128 channels."""
    return frame_for((35, 50, 36))


@pytest.fixture(scope="session")
def pictures() -> Frame:
    return frame_for((128, 128, 1))
