"""DynUNet and SegResNet of MONAI, for comparison. They follow a plan as far as MONAI allows.

Both have one number of groups for all layers: that of most layers of the plan (instance norm stays
instance norm). Widths and kernels of the decoder mirror the encoder's.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from monai.networks.nets.dynunet import DynUNet as MonaiDynUNet
from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet
from torch import Tensor, nn

from segkit.networks.plan_check import unfit
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan

ACTIVATIONS: dict[str, Any] = {
    "leaky_relu": ("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
    "relu": ("relu", {"inplace": True}),
    "silu": "swish",
    "gelu": "gelu",
}
"""MONAI's name, or name and arguments, of each activation."""

OTHER_NORMS: dict[str, str] = {"batch": "batch", "none": ""}
"""MONAI's name of each norm without groups that it has."""


class DynUNet(nn.Module):
    """MONAI's nnU-Net with the plan's kernels, strides and widths; two convolutions per stage."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        axes, encoder = spatial_axes(plan), plan.network.encoder
        if len(encoder) < 3:
            raise unfit(
                plan,
                "network.encoder",
                expected="3 stages or more for DynUNet",
                found=f"{len(encoder)}",
            )
        widths = [stage.layers[-1].channels for stage in encoder]
        strides = [[stage.stride[axis] for axis in axes] for stage in encoder]
        network = MonaiDynUNet(
            plan.dims,
            len(plan.channels),
            len(plan.label_values),
            kernel_size=[[stage.kernel[axis] for axis in axes] for stage in encoder],
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=widths,
            norm_name=_norm(plan, widths),
            act_name=ACTIVATIONS[plan.network.activation],
            deep_supervision=plan.network.deep_supervision,
            deep_supr_num=len(encoder) - 2,
        )
        # DynUNet registers its parts twice; a file of weights must hold them once.
        self.body, self.head = network.skip_layers, network.output_block
        self.deep_supervision = plan.network.deep_supervision
        self._deep_scores: list[Tensor] = network.heads

    def features(self, x: Tensor) -> Tensor:
        """Return the input of ``head`` (B, width, X, Y[, Z])."""
        return self._run(x)[0]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return scores, in training a list of them; see `segkit.networks.unet.UNet.forward`."""
        features, deep_scores = self._run(x)
        scores: Tensor = self.head(features)
        return [scores, *deep_scores] if self.training and self.deep_supervision else scores

    def _run(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = self.body(x)
        deep_scores = list(self._deep_scores)
        # The body leaves its scores in this list. There they would occupy memory, and a network
        # with such tensors, which have a gradient, cannot be copied.
        self._deep_scores[:] = [torch.empty(0)] * len(deep_scores)
        return features, deep_scores


class SegResNet(nn.Module):
    """MONAI's SegResNet (arXiv 1810.11654), without deep supervision.

    It follows the plan in the first width, which doubles per stage, in the number of stages, and in
    one residual block per two layers of an encoder stage. Every axis is halved per stage.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        encoder, divisor = plan.network.encoder, 2 ** (len(plan.network.encoder) - 1)
        if any(plan.patch[axis] % divisor for axis in spatial_axes(plan)):
            raise unfit(
                plan,
                "patch",
                expected=f"multiples of {divisor} for SegResNet",
                found=f"{plan.patch}",
            )
        width = encoder[0].layers[-1].channels
        self.body = MonaiSegResNet(
            plan.dims,
            width,
            len(plan.channels),
            len(plan.label_values),
            act=ACTIVATIONS[plan.network.activation],
            norm=_norm(plan, [width]),
            blocks_down=tuple(max(1, len(stage.layers) // 2) for stage in encoder),
            blocks_up=(1,) * (len(encoder) - 1),
        )
        *last, self.head = self.body.conv_final
        self.body.conv_final = nn.Sequential(*last)

    def features(self, x: Tensor) -> Tensor:
        """Return the input of ``head`` (B, width, X, Y[, Z])."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B, classes, X, Y[, Z]) for images (B, channels, X, Y[, Z])."""
        scores: Tensor = self.head(self.features(x))
        return scores


def _norm(plan: Plan, widths: list[int]) -> Any:
    """Return MONAI's description of the norm that most layers of the plan have."""
    if all(
        layer.norm == "group" and layer.groups == layer.channels for layer in plan.network.layers
    ):
        return ("instance", {"affine": True})
    (kind, groups), _ = Counter(
        (layer.norm, layer.groups) for layer in plan.network.layers
    ).most_common(1)[0]
    if kind in OTHER_NORMS:
        return OTHER_NORMS[kind]
    if kind != "group":
        expected = f"group, {' or '.join(OTHER_NORMS)} as the norm of {plan.network.name}"
        raise unfit(plan, "network", expected=expected, found=kind)
    for width in widths:
        if width % groups:
            expected = f"widths that divide into {groups} groups, which most layers have"
            raise unfit(plan, "network", expected=expected, found=f"{width} channels")
    return ("group", {"num_groups": groups})
