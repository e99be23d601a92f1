"""Hand-made fingerprints and small datasets on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.fingerprint import Fingerprint, Intensity
from segkit.fingerprint.label_facts import LabelFacts
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan

Print = Callable[..., Fingerprint]
Decide = Callable[..., Plan]


def facts(
    index: int, shape: Any, spacing: Any, cropped: Any, centroids: dict[str, Any]
) -> CaseFacts:
    labels = {
        name: LabelFacts(1000, 1000.0, place, (4.0, 4.0, 4.0)) for name, place in centroids.items()
    }
    return CaseFacts(f"case{index}", shape, spacing, cropped or shape, labels)


@pytest.fixture
def fingerprint() -> Print:
    """`cases` equal cases, or one per entry of ``spacings``; two labels apart along y unless
    ``centroids`` says.
    """

    def build(
        shape: Any = (35, 50, 36),
        spacings: Any = ((1.0, 1.0, 1.0),) * 10,
        *,
        cropped: Any = None,
        **more: Any,
    ) -> Fingerprint:
        centroids = more.get("centroids", {"a": (20.0, 10.0, 20.0), "b": (20.0, 30.0, 20.0)})
        cases = tuple(
            facts(i, shape, spacing, cropped, centroids) for i, spacing in enumerate(spacings)
        )
        intensity = Intensity(
            minimum=0, lower=-100, median=2, mean=50, upper=300, maximum=5, std=25
        )
        return Fingerprint(more.get("unit", "mm"), cases, (intensity,) * more.get("channels", 1))

    return build


@pytest.fixture
def decide() -> Decide:
    """`make_plan` for labels a and b; options of NetworkConfig and PlanConfig by name."""

    def build(
        measured: Fingerprint,
        *,
        channels: tuple[str, ...] = ("MR",),
        batch_size: int | None = 2,
        mirror: Any = "auto",
        **options: Any,
    ) -> Plan:
        plan_options = {
            key: options.pop(key) for key in ("spacing", "patch", "memory") if key in options
        }
        dataset = Dataset("d", Path("d"), channels, {"a": 1, "b": 2}, ())
        network, plan = NetworkConfig(**options), PlanConfig(**plan_options)
        return make_plan(measured, dataset, network, plan, batch_size, mirror=mirror)

    return build
