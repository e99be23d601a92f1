"""When a checkpoint is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

from segkit.config.schema import TrainerConfig
from segkit.training.callbacks.save_run import RunSaver
from segkit.training.compute.distributed import ALONE
from segkit.training.time_budget import Timing


def saver(folder: Path, **settings: Any) -> RunSaver:
    return RunSaver(
        folder,
        TrainerConfig(**settings),
        bundle_writer=cast(Any, None),
        rows=cast(Any, None),
        validation=cast(Any, None),
        timing=Timing(),
        ranks=ALONE,
    )


def test_checkpoints_are_due_by_steps(tmp_path: Path) -> None:
    by_steps = saver(tmp_path, checkpoint_steps=2)
    assert [by_steps.is_due(step) for step in (1, 2, 3, 4)] == [False, True, False, True]


def test_checkpoints_are_due_by_minutes(tmp_path: Path) -> None:
    by_minutes = saver(tmp_path, checkpoint_minutes=1.0)
    assert not by_minutes.is_due(1)
    by_minutes.last_saved = time.monotonic() - 61
    assert by_minutes.is_due(1)
