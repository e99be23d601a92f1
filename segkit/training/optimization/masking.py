"""Keep the masked weights of a network at exactly 0 while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkit.networks.masks import Masks, check_kernel, prunable_kernels


class KernelMasking:
    """Clears the pruned entries of kernels and of their gradients.

    Both are needed. Without the gradients of pruned weights, they do not count in the norm that
    gradients are clipped to, they never enter a momentum, and Muon orthogonalizes the update of the
    kept weights alone. Its update has entries at the pruned places all the same, so the weights are
    cleared after each step. Create it after the network has moved to its device.
    """

    def __init__(self, network: nn.Module, masks: Masks) -> None:
        kernels = prunable_kernels(network)
        self._pairs: list[tuple[Tensor, Tensor]] = []
        for name, mask in masks.items():
            check_kernel(name, mask, kernels)
            # In the memory format of the kernel, so that both are read in the same order.
            pruned = torch.empty_like(kernels[name], dtype=torch.bool, requires_grad=False)
            self._pairs.append((kernels[name], pruned.copy_(~mask)))

    @torch.no_grad()
    def clear_weights(self) -> None:
        """Set the pruned weights to 0."""
        for kernel, pruned in self._pairs:
            kernel.masked_fill_(pruned, 0.0)

    @torch.no_grad()
    def clear_gradients(self) -> None:
        """Set the gradients of the pruned weights to 0, where there are gradients."""
        for kernel, pruned in self._pairs:
            if kernel.grad is not None:
                kernel.grad.masked_fill_(pruned, 0.0)
