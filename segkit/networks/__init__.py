"""Networks by name. Each is built from a plan and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import nn

from segkit.networks.plan_check import check_network_plan
from segkit.networks.plugin_networks import check_scores, foreign_builder
from segkit.networks.residual_unet import ResidualUNet
from segkit.networks.unet import UNet
from segkit.networks.user_name import user_name
from segkit.plans.plan import Plan

Builder = Callable[[Plan], nn.Module]


def _monai(builder: str) -> Builder:
    """A builder of `monai_networks`; MONAI takes seconds to import, so only when one of its networks is built."""

    def build(plan: Plan) -> nn.Module:
        with user_name():
            module = import_module("segkit.networks.monai_networks")
        network: nn.Module = getattr(module, builder)(plan)
        return network

    return build


NETWORKS: dict[str, Builder] = {
    "unet": UNet,
    "residual_unet": ResidualUNet,
    "monai_dynunet": _monai("DynUNet"),
    "monai_segresnet": _monai("SegResNet"),
}


def build_network(plan: Plan) -> nn.Module:
    """The plan's network, freshly drawn from torch's random generator, in training mode.

    It maps (B, channels, X, Y[, Z]) to scores (B, classes, X, Y[, Z]); see `unet.UNet` for training, ``features``
    and ``head``.

    Raises:
        InputError: an unknown network or activation, or stages that do not fit together.
    """
    builder = NETWORKS.get(plan.network.name) or foreign_builder(plan, NETWORKS)
    check_network_plan(plan)
    return builder(plan)


def new_network(plan: Plan) -> nn.Module:
    """As `build_network`, for a training: another package's network is tried on one patch.

    Raises:
        InputError: also where that network gives no scores of the plan's classes.
    """
    network = build_network(plan)
    if plan.network.name not in NETWORKS:
        check_scores(network, plan)
    return network


def count_parameters(network: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
