"""A model with an equivariant network as one with a plain U-Net, which computes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from segkit.bundle.bundle import Bundle, fill_network, write_bundle
from segkit.bundle.notes import NOTES, read_notes
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.networks.fusion import fuse
from segkit.plans.plan import Plan

OF_FILES = ("format_version", "kind", "segkit", "plan", "weights", "files")
"""Keys of a card that `write_bundle` sets; the facts under the others hold for the plain model."""


def plain_plan(plan: Plan) -> Plan:
    """Return the plan of a U-Net of the same layers without symmetry, whose weights are free."""
    network = replace(plan.network, name="unet", symmetry=None)
    reason = f"The {plan.network.name} of another model with its kernels written out."
    return replace(plan, network=network, reasons={**plan.reasons, "network": reason})


def plain_state(plan: Plan, state: dict[str, Tensor], where: Path) -> dict[str, Tensor]:
    """Return the tensors of the U-Net of `plain_plan` for those of the equivariant network.

    Args:
        plan: plan of the equivariant network.
        state: its tensors by name.
        where: the model, for messages.

    Raises:
        InputError: tensors that do not fit the plan.
    """
    return fuse(fill_network(plan, state, where)).state_dict()


def write_plain(model: Bundle, folder: str | Path) -> Bundle:
    """Write a bundle folder with the plain U-Nets of all folds, and return it.

    The card names the original model under ``plain_of``. A mask is left out: its weights are 0, but
    it names those of the filters.

    Args:
        model: a model with an equivariant network.
        folder: folder of the new bundle.

    Raises:
        InputError: a model without symmetry, or one that cannot be read.
    """
    symmetry = model.plan.network.symmetry
    if symmetry is None:
        raise InputError(
            model.path,
            expected="a model of network=equivariant_unet, whose kernels can be written out",
            found=f"network={model.plan.network.name}",
            remedy="Leave --plain out: the network is plain already.",
        )
    states = {fold: plain_state(model.plan, model.state(fold), model.path) for fold in model.folds}
    card = {key: value for key, value in model.card.items() if key not in OF_FILES}
    card["plain_of"] = {
        "hash": model.hash,
        "network": model.plan.network.name,
        "symmetry": symmetry.group,
    }
    if notes := read_notes(model.path):
        write_text(Path(folder) / NOTES, notes)
    return write_bundle(folder, plain_plan(model.plan), card, states, _plain_config(model.config))


def _plain_config(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    network = {**config.get("network", {}), "name": "unet", "symmetry": None}
    return {**config, "network": network}
