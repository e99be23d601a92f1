"""What `comparable` keeps, measured in this process."""

from __future__ import annotations

from collections.abc import Sequence

from segkit.config import TrainConfig, load
from segkit.networks.mode import Mode
from segkit.studies.comparable import Measured
from segkit.training.measured_mode import mode_of_training


def measured_here(overrides: Sequence[str]) -> Measured:
    """Return what is measured for the training of these overrides.

    Raises:
        SegkitError: the training could not begin.
    """
    return measured(mode_of_training(overrides), load(overrides))


def measured(mode: Mode, config: TrainConfig) -> Measured:
    """Return ``mode`` with the seconds of an optimizer step, which may take several batches."""
    return Measured(mode.precision, mode.layout, mode.seconds * config.trainer.accumulate)
