"""Cost of a prediction before there is a scan: it is the memory that a real scan is given."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from segkit.bundle.bundle import read_bundle
from segkit.inference import Predictor
from segkit.inference.scan_cost import largest_scan, scan_cost
from segkit.inference.scoring import scan_scorer
from segkit.inference.scoring.memory_plan import MemoryNeeds, memory_plans
from segkit.plans.ranges import DataRanges
from segkit.volume import Volume

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def test_memory_is_what_a_scan_of_this_shape_is_planned_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = read_bundle(FROZEN)
    cost = scan_cost([bundle], device="cpu")
    assert (cost.shape, cost.device, cost.precision) == ((32, 32, 2), "cpu", "float32")
    assert cost.seconds > 0
    seen: list[MemoryNeeds] = []
    choose = scan_scorer.choose_memory_plan

    def noted(needs: MemoryNeeds, **options: object) -> object:
        seen.append(needs)
        return choose(needs, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scan_scorer, "choose_memory_plan", noted)
    voxels = np.random.default_rng(0).normal(size=(1, *cost.shape)).astype(np.float32)
    Predictor(bundle, device="cpu").predict(Volume(voxels, np.diag([1.0, 1, 3, 1]), "mm"))
    sizes = [plan.bytes for plan in memory_plans(seen[0])]
    assert (cost.memory, cost.least_memory) == (sizes[0], min(sizes))


def test_the_largest_scan_is_that_of_the_training() -> None:
    plan = read_bundle(FROZEN).plan  # spacing 1 x 1 mm, the third axis is not resampled
    ranges = DataRanges(
        cases=2,
        spacing=((1.0, 2.0), (1.0, 2.0), (2.5, 5.0)),
        size=((10.0, 20.0), (10.0, 30.5), (10.0, 50.0)),
        channels=(),
        labels={},
    )
    assert largest_scan(dataclasses.replace(plan, training=ranges)) == (20, 31, 20)
