"""Facts of cases made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.problem import MeasuredDataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.channel_facts import ChannelFacts
from segkit.fingerprint.label_facts import LabelFacts

Measured = Callable[..., MeasuredDataset]


def label(voxels: int = 1000, thickness: float = 10.0, median: float = 50.0) -> LabelFacts:
    """Return facts of a cube of 1 mm voxels."""
    middle = (20.0, 20.0, 20.0)
    edges = (thickness, thickness, thickness)
    return LabelFacts(voxels, float(voxels), middle, middle, thickness=edges, medians=(median,))


def facts(
    name: str, low: float = 0.0, high: float = 900.0, *, whole: bool = True, **more: Any
) -> CaseFacts:
    """Return facts of a scan of 40 x 40 x 40 mm with the label a; ``more`` replaces fields."""
    fields = {
        "shape": (40, 40, 40),
        "spacing": (1.0, 1.0, 1.0),
        "cropped": (40, 40, 40),
        "voxels_hash": name,
    }
    fields |= {"labels": {"a": label()}, "channels": (ChannelFacts(low, high, whole),)}
    return CaseFacts(name, **{**fields, **more})


@pytest.fixture
def measured() -> Measured:
    """Return a dataset of these facts, in mm."""

    def build(cases: Sequence[CaseFacts], *, channel: str = "MR", **more: Any) -> MeasuredDataset:
        labels = {"a": 1} | more.pop("labels", {})
        given = tuple(
            Case(each.id, (), patient=more.get("patients", {}).get(each.id, "")) for each in cases
        )
        return MeasuredDataset(Dataset("d", Path("d"), (channel,), labels, given), cases)

    return build
