"""Networks of other packages, found under the entry point segkit.networks."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import nn

from segkit.errors import InputError
from segkit.networks.plan_check import known
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan
from segkit.plugins import NETWORKS, load_part, offered, package


def foreign_builder(plan: Plan, own: Collection[str]) -> Callable[[Plan], nn.Module]:
    """The builder of a network that is none of segkit's ``own``.

    Raises:
        InputError: no installed package offers it, or it makes something else than a network.
    """
    name, found = plan.network.name, offered(NETWORKS, own)
    if name not in found:
        raise _missing(plan, [*own, *found])
    point = found[name]

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
    """Put one patch through ``network`` and raise InputError if what comes out are no scores of the plan's classes."""
    edges = [plan.patch[axis] for axis in spatial_axes(plan)]
    training = network.training
    with torch.inference_mode():
        scores = network.eval()(torch.zeros(1, len(plan.channels), *edges))
    network.train(training)
    expected = (1, len(plan.label_values), *edges)
    found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
    if found != expected:
        raise InputError(
            f"network {plan.network.name}",
            expected=f"scores of shape {expected} outside training",
            found=f"{found}",
            remedy="See docs/own_parts.md.",
        )


def _missing(plan: Plan, names: Collection[str]) -> InputError:
    """The error for a network that nobody offers; says what to install where the plan knows it."""
    where = f"plan {plan.name!r}, network.name"
    if "network" not in plan.needs:
        known(plan.network.name, names, where=where)
    needed = plan.needs.get("network", "")
    return InputError(
        where,
        expected=f"the network {plan.network.name!r} of the package {needed}",
        found="no installed package that offers it",
        remedy=f"If you trust the package: pip install {needed}",
    )
