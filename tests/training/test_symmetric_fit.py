"""A training keeps the symmetry of the network, in bfloat16 and with little memory as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.config.schema import NetworkConfig, PlanConfig, TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.fingerprint import measure
from segkit.networks.equivariance import equivariance_errors
from segkit.planning.planner import make_plan
from segkit.training.fit import fit


@pytest.mark.parametrize(
    ("optimizer", "precision", "layout"),
    [("muon", "bfloat16", "channels_last"), ("adamw", "float32", "contiguous")],
)
def test_a_trained_network_is_equivariant(
    optimizer: str, precision: str, layout: str, balls: Dataset, tmp_path: Path
) -> None:
    network = NetworkConfig(name="equivariant_unet", symmetry="octahedral48", features=[48, 48])
    plan = make_plan(measure(balls), balls, network, PlanConfig(patch=[8, 8, 8]), 1)
    config = TrainConfig()
    config.compute.name = "cpu"
    config.trainer.optimizer, config.trainer.save_memory = optimizer, True
    config.trainer.precision, config.trainer.layout = precision, layout
    config.trainer.max_steps, config.trainer.accumulate, config.trainer.validations = 4, 2, 0
    config.trainer.threads = 1
    fit(config, plan, balls, tmp_path)
    (trained,) = read_bundle(tmp_path / "bundle").networks()
    x = torch.randn(1, 1, 4, 8, 6, generator=torch.Generator().manual_seed(0))
    assert max(equivariance_errors(trained, plan, x).values()) <= 1e-5
    assert max(equivariance_errors(trained.double(), plan, x.double()).values()) <= 1e-10
