"""Catalogue of normalization layers: one row per value of network.norm, without torch.

A new norm needs a row here, and a row in `segkit.networks.norm` if its layer is of a new kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NormKind = Literal["group", "group_ws", "batch", "batch_renorm", "none"]
"""Kind of norm layer in a plan; instance and layer norm are special cases of group norm.

``group_ws`` is group norm after a convolution whose kernels are standardized.
"""

GroupRule = Literal["fitted", "one_per_channel", "one", "none"]
"""Rule for the number of groups; only "fitted" uses channels_per_group and num_groups."""


@dataclass(frozen=True)
class NormEntry:
    """Row of the catalogue: the kind of norm in the plan, and the rule for its groups."""

    kind: NormKind
    groups: GroupRule
    batch_statistics: bool = False
    """True if a training step normalizes with statistics of the whole batch."""


NORMS: dict[str, NormEntry] = {
    "group": NormEntry("group", groups="fitted"),
    "instance": NormEntry("group", groups="one_per_channel"),
    "layer": NormEntry("group", groups="one"),
    "group_ws": NormEntry("group_ws", groups="fitted"),
    "batch": NormEntry("batch", groups="none", batch_statistics=True),
    "batch_renorm": NormEntry("batch_renorm", groups="none", batch_statistics=True),
    "none": NormEntry("none", groups="none"),
}


def uses_batch_statistics(norm: str) -> bool:
    """Return whether a norm, given by its name or kind, depends on the other samples of a batch.

    >>> uses_batch_statistics("batch"), uses_batch_statistics("instance")
    (True, False)
    """
    return any(
        entry.batch_statistics and norm in (name, entry.kind) for name, entry in NORMS.items()
    )


def has_groups(kind: NormKind) -> bool:
    """Return whether a kind of norm has statistics of groups of channels.

    >>> has_groups("group_ws"), has_groups("batch")
    (True, False)
    """
    return any(entry.groups != "none" and kind == entry.kind for entry in NORMS.values())
