"""A small dataset of four scans and its plan: a bright and a dark ball in noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.fingerprint.fingerprint import measure
from segkit.io import write_image, write_labels
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan
from segkit.volume import Volume

SHAPE = (20, 18, 16)


def write_balls(folder: Path, cases: int = 4) -> Path:
    """Write a Decathlon dataset whose labels, 3 and 7, are balls one above the other."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    for number in range(cases):
        random = np.random.Generator(np.random.Philox(number))
        grid = np.indices(SHAPE)
        labels = np.zeros(SHAPE, np.uint8)
        for value, z in ((3, 5), (7, 11)):
            center = np.array([10, 9, z]) + random.integers(-1, 2, 3)
            labels[((grid - center[:, None, None, None]) ** 2).sum(0) <= 9] = value
        image = (
            random.standard_normal(SHAPE, dtype=np.float32) + 3 * (labels == 3) - 3 * (labels == 7)
        )
        write_image(folder / f"imagesTr/case_{number}.nii.gz", Volume(image[None], affine))
        write_labels(folder / f"labelsTr/case_{number}.nii.gz", Volume(labels[None], affine))
    pairs = [
        {"image": f"imagesTr/case_{i}.nii.gz", "label": f"labelsTr/case_{i}.nii.gz"}
        for i in range(cases)
    ]
    content = {
        "name": "Balls",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "3": "low", "7": "high"},
        "training": pairs,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_balls(tmp_path_factory.mktemp("balls")))


@pytest.fixture(scope="session")
def plan_for_balls(balls: Dataset) -> Plan:
    network = NetworkConfig(features=[8, 16])
    return make_plan(
        measure(balls), balls, network=network, plan=PlanConfig(memory="1GB"), batch_size=2
    )
