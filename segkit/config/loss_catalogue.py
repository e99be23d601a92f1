"""Catalogue of losses: one row per value of trainer.loss, without torch.

A new loss is one row here and its class, which the row names.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

from segkit import plugins
from segkit.plugins import offered

_LABELS = "segkit.training.optimization.losses"
_REGIONS = "segkit.training.optimization.region_losses"


@dataclass(frozen=True)
class LossEntry:
    """Row of the catalogue: the builders of a loss as "module:name", imported when it is used."""

    builder: str
    """Function without arguments that returns the loss for labels."""
    region_builder: str | None = None
    """Function of Plan.membership that returns the loss for overlapping regions; None if none."""


LOSSES: dict[str, LossEntry] = {
    "dice_ce": LossEntry(f"{_LABELS}:DiceCrossEntropy", f"{_REGIONS}:RegionLoss"),
    "dice": LossEntry(f"{_LABELS}:PresentDice", f"{_REGIONS}:region_dice"),
    "ce": LossEntry(f"{_LABELS}:CrossEntropy", f"{_REGIONS}:region_cross_entropy"),
    "nnunet": LossEntry(f"{_LABELS}:NnUNetLoss"),
}


def losses_of_regions() -> list[str]:
    """Return the names of the losses that regions can be trained with.

    >>> losses_of_regions()
    ['dice_ce', 'dice', 'ce']
    """
    return [name for name, entry in LOSSES.items() if entry.region_builder]


def plugin_losses() -> dict[str, EntryPoint]:
    """Return the losses that installed packages offer, by name.

    Raises:
        InputError: two packages offer the same name.
    """
    return offered(plugins.LOSSES, LOSSES)
