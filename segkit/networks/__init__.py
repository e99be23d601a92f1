"""Networks by name. Each is built from a plan and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from segkit.networks.plan_check import check_network_plan, known
from segkit.networks.unet import UNet
from segkit.plans import Plan

NETWORKS: dict[str, Callable[[Plan], nn.Module]] = {
    "unet": UNet,
}


def build_network(plan: Plan) -> nn.Module:
    """The plan's network, freshly drawn from torch's random generator, in training mode.

    It maps (B, channels, X, Y[, Z]) to scores (B, classes, X, Y[, Z]); see `unet.UNet` for training, ``features``
    and ``head``.

    Raises:
        InputError: an unknown network or activation, or stages that do not fit together.
    """
    known(plan.network.name, NETWORKS, where=f"plan {plan.name!r}, network.name")
    check_network_plan(plan)
    return NETWORKS[plan.network.name](plan)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
