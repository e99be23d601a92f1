"""Networks by name, each built from a plan and nothing else.

`segkit.plans.network_catalogue` lists them; a network is imported when it is first built.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from torch import nn

from segkit.networks.plan_check import check_network_plan
from segkit.networks.plugin_networks import check_scores, plugin_builder
from segkit.networks.user_name import user_name
from segkit.plans.network_catalogue import NETWORKS
from segkit.plans.plan import Plan

Builder = Callable[[Plan], nn.Module]


def build_network(plan: Plan) -> nn.Module:
    """Build the plan's network, initialized from torch's random generator, in training mode.

    It maps images (B, channels, X, Y[, Z]) to scores (B, classes, X, Y[, Z]). See
    `segkit.networks.unet.UNet` for the scores in training, ``features`` and ``head``.

    Raises:
        InputError: an unknown network or activation, or stages that do not fit together.
    """
    builder = _builder(plan)
    check_network_plan(plan)
    return builder(plan)


def new_network(plan: Plan) -> nn.Module:
    """Build the plan's network for a training.

    As `build_network`, but a network of another package is first tried on one patch.

    Raises:
        InputError: as `build_network`, or the network does not return scores of the plan's classes.
    """
    network = build_network(plan)
    if plan.network.name not in NETWORKS:
        check_scores(network, plan)
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters (scalars)."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _builder(plan: Plan) -> Builder:
    entry = NETWORKS.get(plan.network.name)
    if entry is None:
        return plugin_builder(plan)
    with user_name():  # MONAI asks for it while it is imported
        builder: Builder = resolve_name(entry.builder)
    return builder
