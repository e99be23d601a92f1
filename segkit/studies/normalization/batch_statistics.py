"""Predict with the statistics that a norm would use in training, for the gap to evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from segkit.sliding_window.windows import Network
from segkit.studies.norms.layers import uses_running_statistics


@contextmanager
def training_statistics(network: nn.Module) -> Iterator[None]:
    """Let the norms of a network in evaluation mode compute as in training, inside this context.

    Only norms with running statistics differ. These statistics, which a norm in training mode
    updates in each forward pass, are put back after each of them.
    """
    norms = [module for module in network.modules() if uses_running_statistics(module)]
    kept = {norm: [buffer.clone() for buffer in norm.buffers()] for norm in norms}

    def put_back(norm: nn.Module, _inputs: object, _output: object) -> None:
        for buffer, value in zip(norm.buffers(), kept[norm], strict=True):
            buffer.copy_(value)

    hooks = [norm.register_forward_hook(put_back) for norm in norms]
    try:
        for norm in norms:
            norm.train()
        yield
    finally:
        for norm in norms:
            norm.eval()
        for hook in hooks:
            hook.remove()


def depends_on_the_batch(network: nn.Module) -> bool:
    """Return whether `training_statistics` changes anything in a network."""
    return any(uses_running_statistics(module) for module in network.modules())


def in_company(network: Network, companions: Callable[[int], Tensor]) -> Network:
    """Return a network that computes each window in a batch with other patches.

    It takes one window at a time and returns the scores of this window alone.

    Args:
        network: function from a batch (B, C, X, Y[, Z]) to scores (B, K, X, Y[, Z]).
        companions: function from the number of the window, from 0, to the other patches of its
            batch, (B - 1, C, X, Y[, Z]).
    """
    done = 0

    def scores(window: Tensor) -> Tensor:
        nonlocal done
        batch = torch.cat([window, companions(done).to(window)])
        done += 1
        result = network(batch)
        if isinstance(result, list):
            raise TypeError("a network in training mode: only its norms may be")
        return result[:1]

    return scores
