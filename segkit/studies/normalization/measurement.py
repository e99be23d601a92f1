"""Measurement: one number measured in a cell of the normalization study, as a tidy row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One number; fields that do not apply keep their defaults."""

    measure: str
    """A key of MEASURES."""
    value: float
    case: str = ""
    """Id of the case."""
    label: str = ""
    """Name of the label."""
    layer: str = ""
    """Name of the layer in the plan."""
    overlap: float | None = None
    """Smallest fraction of an edge that neighboring windows have in common."""
    samples: int | None = None
    """Number of training patches that the network had seen."""
    batch: int | None = None
    """Number of patches of a batch."""


COLUMNS = tuple(field.name for field in dataclasses.fields(Measurement))
"""Columns of a tidy table of measurements."""

MEASURES = {
    "dice": "Dice of the whole scan, predicted by sliding window in evaluation mode",
    "dice_batch_statistics": "Dice of the same scan and windows with the norms in training mode, "
    "each window in a batch with patches of other cases",
    "train_eval_gap": "Dice in evaluation mode minus Dice with the norms in training mode",
    "windows": "number of windows that cover the scan",
    "tile_mismatch": "fraction of voxels whose label changes if the windows lie elsewhere",
    "tile_mismatch_foreground": "the same fraction, of the voxels that either prediction labels",
    "loss": "mean training loss since the row before it",
    "dice_during_training": "Dice of a validation during the training",
    "gradient_norm": "L2 norm of the gradient of the layer's kernel, before clipping",
    "seconds_per_step": "median time of a training step in seconds",
    "step_memory_bytes": "largest memory that a training step takes, in bytes",
    "largest_patch_voxels": "voxels of the largest patch that trains in the given memory, 0 if "
    "none does",
    "largest_width": "channels of the first stage of the widest network that trains in the given "
    "memory, 0 if none does",
    "pool": "number of values over which a mean and a variance are computed",
    "spread_mean": "standard deviation of the mean between pools, in standard deviations of the "
    "values",
    "spread_sd": "standard deviation of the standard deviation between pools, divided by its mean",
}
"""Sentence without a period on each measure, with its unit."""


def as_row(measurement: Measurement) -> dict[str, str | float | int]:
    """Return a measurement by COLUMNS, without those that do not apply.

    >>> as_row(Measurement("loss", 0.5, samples=20))
    {'measure': 'loss', 'value': 0.5, 'samples': 20}
    """
    values = dataclasses.asdict(measurement)
    return {name: value for name, value in values.items() if value not in ("", None)}
