"""Networks of other packages, which offer them under the entry point segkit.networks."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import nn

from segkit.errors import InputError
from segkit.networks.plan_check import check_known
from segkit.networks.unet import spatial_axes
from segkit.plans.network_catalogue import NETWORKS, plugin_networks
from segkit.plans.plan import Plan
from segkit.plugins import load_part, package


def plugin_builder(plan: Plan) -> Callable[[Plan], nn.Module]:
    """Return the builder of a network that is not in segkit's catalogue.

    Raises:
        InputError: no installed package offers it. The builder raises InputError if it returns
            something other than a torch.nn.Module.
    """
    name, entry_points = plan.network.name, plugin_networks()
    if name not in entry_points:
        raise _missing(plan, [*NETWORKS, *entry_points])
    point = entry_points[name]

    def build(plan: Plan) -> nn.Module:
        network = load_part(point)(plan)
        if not isinstance(network, nn.Module):
            raise InputError(
                f"network {name} of {package(point)}",
                expected="a torch.nn.Module from its builder",
                found=type(network).__name__,
                remedy="See docs/own_parts.md.",
            )
        return network

    return build


def check_scores(network: nn.Module, plan: Plan) -> None:
    """Predict one patch of zeros, and check the shape of the scores.

    Raises:
        InputError: anything other than scores (1, classes, X, Y[, Z]) of the plan's classes.
    """
    edges = [plan.patch[axis] for axis in spatial_axes(plan)]
    training = network.training
    with torch.inference_mode():
        scores = network.eval()(torch.zeros(1, len(plan.channels), *edges))
    network.train(training)
    expected = (1, len(plan.label_values), *edges)
    shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
    if shape != expected:
        raise InputError(
            f"network {plan.network.name}",
            expected=f"scores of shape {expected} outside training",
            found=f"{shape}",
            remedy="See docs/own_parts.md.",
        )


def _missing(plan: Plan, names: Collection[str]) -> InputError:
    """Return the error for a network that no package offers; it names the package to install."""
    where = f"plan {plan.name!r}, network.name"
    if "network" not in plan.needs:
        check_known(plan.network.name, names, where=where)
    needed = plan.needs.get("network", "")
    return InputError(
        where,
        expected=f"the network {plan.network.name!r} of the package {needed}",
        found="no installed package that offers it",
        remedy=f"If you trust the package: pip install {needed}",
    )
