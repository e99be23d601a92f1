"""A finished training of three steps with batch norm, whose scans take several windows each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.planning.plan_dataset import open_dataset
from segkit.studies.normalization.measure import cell_callbacks
from segkit.studies.normalization.trained_cell import TrainedCell, open_cell
from segkit.training.run import start
from segkit.training.setup import set_up
from tests.small_training import QUICK
from tests.training.conftest import balls, plan_for_balls, write_balls

__all__ = ["balls", "plan_for_balls"]

Train = Callable[..., Path]


@pytest.fixture(scope="session")
def train_cell(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Return train_cell(*overrides, measured=True), which trains in a new folder."""
    folder = tmp_path_factory.mktemp("cells")
    dataset = write_balls(folder / "balls")

    def train(*overrides: str, measured: bool = True) -> Path:
        run_dir = tmp_path_factory.mktemp("cell") / "run"
        words = (
            f"dataset={dataset}",
            "network.features=[4,8]",
            "plan.patch=[8,16,16]",
            "trainer.batch_size=2",
            "trainer.validations=1",
            "trainer.max_steps=3",
            *QUICK[1:],
            f"run_dir={run_dir}",
            f"dataset.store={folder / 'store'}",
            *overrides,
        )
        config = load(words)
        setup = set_up(config, open_dataset(config), given=given_keys(words))
        callbacks = cell_callbacks(run_dir, setup.plan) if measured else []
        with contextlib.chdir(folder):
            start(setup, callbacks=callbacks)
        return run_dir

    return train


@pytest.fixture(scope="session")
def batch_run(train_cell: Train) -> Path:
    return train_cell("network.norm=batch")


@pytest.fixture(scope="session")
def batch_cell(batch_run: Path) -> TrainedCell:
    return open_cell(batch_run)


@pytest.fixture(scope="session")
def group_cell(train_cell: Train) -> TrainedCell:
    return open_cell(train_cell("network.norm=group"))
