"""Norms and kernels of a network by the names that its plan gives to the layers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from segkit.networks.unet import UNet
from segkit.plans.plan import Plan


def norm_modules(network: nn.Module, plan: Plan) -> dict[str, nn.Module]:
    """Return the norms of a network by the names of their layers.

    Those of a network of another package have the names of modules instead.
    """
    found = {name: module for name, module in network.named_modules() if is_norm(module)}
    names = _layers_with_norm(network, plan)
    return dict(zip(names, found.values(), strict=True)) if len(names) == len(found) else found


def layer_kernels(network: nn.Module, plan: Plan) -> dict[str, nn.Parameter]:
    """Return the kernel of the convolution before each norm, by the name of its layer.

    Transposed convolutions and heads have no norm and are left out. A network of another package,
    or without norms, has the kernels of all convolutions, by the names of modules.
    """
    before = list(_kernels_before_norms(network))
    names = _layers_with_norm(network, plan)
    if names and len(names) == len(before):
        return dict(zip(names, before, strict=True))
    modules = {name: module for name, module in network.named_modules() if _has_kernel(module)}
    return {name: module.get_parameter("weight") for name, module in modules.items()}


def _layers_with_norm(network: nn.Module, plan: Plan) -> list[str]:
    """Return the names of the layers that have a norm, in the order of the network's modules."""
    if not isinstance(network, UNet):
        return []
    return [layer.name for layer in plan.network.layers if layer.norm != "none"]


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalizes feature maps by a mean and a variance."""
    return isinstance(module, nn.GroupNorm | _NormBase) or uses_running_statistics(module)


def uses_running_statistics(module: nn.Module) -> bool:
    """Return whether a norm has running statistics, so that training and evaluation differ."""
    return getattr(module, "running_mean", None) is not None


def _kernels_before_norms(network: nn.Module) -> Iterator[nn.Parameter]:
    kernel: nn.Parameter | None = None
    for module in network.modules():
        if _has_kernel(module):
            kernel = module.get_parameter("weight")
        elif is_norm(module) and kernel is not None:
            yield kernel
            kernel = None


def _has_kernel(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim >= 4
