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
    """Row of the catalogue: functions that build the loss, as "module:name", imported if needed."""

    builder: str
    """() to a loss for labels."""
    region_builder: str | None = None
    """(Plan.membership) to the loss for regions, which overlap; None if there is none."""


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
