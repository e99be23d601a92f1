"""Table of the norm layers of a plan: channels, groups, and values per mean and variance."""

from __future__ import annotations

from dataclasses import dataclass

from segkit.plans.norm_catalogue import uses_batch_statistics
from segkit.plans.plan import LayerPlan, Plan


@dataclass(frozen=True)
class NormRow:
    """Row of the table, for one layer.

    ``voxels`` is the number of voxels per channel on a training patch, ``pool`` the number of
    values over which a mean and a variance are computed there, and ``equals`` the usual name of the
    norm.
    """

    name: str
    channels: int
    groups: int
    channels_per_group: int
    voxels: int
    pool: int
    equals: str


def norm_report(plan: Plan) -> list[NormRow]:
    """Return a row for each layer, in the order in which data pass through them."""
    return [_row(layer, plan.batch_size) for layer in plan.network.layers]


def _row(layer: LayerPlan, batch_size: int) -> NormRow:
    if layer.norm == "none":
        return NormRow(layer.name, layer.channels, 0, 0, layer.voxels, 0, "no norm")
    if uses_batch_statistics(layer.norm):
        # A channel's statistics run over all patches of the batch.
        pool = batch_size * layer.voxels
        equals = "batch norm" if layer.norm == "batch" else "batch renormalization"
        return NormRow(layer.name, layer.channels, layer.channels, 1, layer.voxels, pool, equals)
    per_group = layer.channels // layer.groups
    pool = per_group * layer.voxels
    return NormRow(
        layer.name, layer.channels, layer.groups, per_group, layer.voxels, pool, _equals(layer)
    )


def _equals(layer: LayerPlan) -> str:
    norm = "layer norm" if layer.groups == 1 else "group norm"
    if layer.groups == layer.channels:
        norm = "instance norm"
    return f"{norm}, standardized kernels" if layer.norm == "group_ws" else norm
