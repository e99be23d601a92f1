"""Norms and kernels of a network by the names of its layers."""

from __future__ import annotations

from pathlib import Path

import segkit
from segkit.networks import build_network
from segkit.studies.norms.layers import layer_kernels, norm_modules


def test_kernels_have_the_names_of_their_layers(phantom: Path) -> None:
    plan = segkit.plan(str(phantom), "network.features=[4,8]", "plan.patch=[16,16,16]")
    network = build_network(plan)
    names = [layer.name for layer in plan.network.layers]
    kernels = layer_kernels(network, plan)
    assert list(kernels) == names == list(norm_modules(network, plan))
    widths = [layer.channels for layer in plan.network.layers]
    assert [len(kernel) for kernel in kernels.values()] == widths
