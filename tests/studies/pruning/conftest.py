"""The phantom of two cases, and the plan of a small network for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.fingerprint.fingerprint import measure
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan


@pytest.fixture(scope="session")
def dataset(phantom: Path) -> Dataset:
    return read_dataset(phantom)


@pytest.fixture(scope="session")
def plan(dataset: Dataset) -> Plan:
    return make_plan(
        measure(dataset),
        dataset,
        network=NetworkConfig(features=[8, 16]),
        plan=PlanConfig(patch=[16, 16, 16]),
        batch_size=2,
    )
