"""Move images by the elements of a symmetry, and measure how far a network is from equivariant."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkit.plans.plan import Plan
from segkit.plans.symmetry import Element
from segkit.plans.symmetry_rules import moved_outputs, window_elements


def moved(images: Tensor, element: Element) -> Tensor:
    """Return images (B, C, X, Y[, Z]) turned or reflected by ``element``, without interpolation.

    >>> moved(torch.tensor([[[[1, 2], [3, 4]]]]), Element((1, 0), (-1, 1)))
    tensor([[[[2, 4],
              [1, 3]]]])
    """
    turned = images.permute(0, 1, *(2 + axis for axis in element.axes))
    return turned.flip([2 + axis for axis, sign in enumerate(element.signs) if sign < 0])


def moved_scores(scores: Tensor, element: Element, plan: Plan) -> Tensor:
    """Return scores (B, K, X, Y[, Z]) as they must be for images moved by ``element``."""
    return moved(scores[:, list(moved_outputs(plan, element))], element)


@torch.inference_mode()
def equivariance_errors(network: nn.Module, plan: Plan, images: Tensor) -> dict[Element, float]:
    """Return how much network(g x) and g network(x) differ, for every element g of the symmetry.

    It is the largest difference, relative to the standard deviation of the scores (to 1 if they are
    constant). On a GPU float32 is computed as such, without the shorter numbers of TF32.

    Args:
        network: a network in evaluation mode, equivariant or, for comparison, plain.
        plan: a plan with the symmetry.
        images: (B, C, X, Y[, Z]), of the network's precision.

    Raises:
        ValueError: the plan has no symmetry.
    """
    errors = {}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        scores = network(images)
        spread = float(scores.std()) or 1.0
        for element in window_elements(plan):
            difference = network(moved(images, element)) - moved_scores(scores, element, plan)
            errors[element] = float(difference.abs().max()) / spread
    return errors
