"""Dice of networks on held-out cases, also right after pruning and before any further training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.report.tables import Cell
from segkit.sliding_window.windows import apply_network
from segkit.studies.norms.layers import uses_running_statistics
from segkit.studies.norms.moments import norm_moments
from segkit.studies.tickets.activations import BothSides
from segkit.training.validation import validate

PATCHES_FOR_MOMENTS = 8
"""Number of patches on which activations are measured."""
BATCHES = 32
"""Number of batches with which running statistics are measured anew."""


@dataclass(frozen=True)
class Bench:
    """Cases, patches and compute mode with which the networks of an arm are measured."""

    plan: Plan
    cases: Sequence[PreparedCase]
    """Held-out cases, for networks that were trained."""
    few_cases: Sequence[PreparedCase]
    """Some of them, for networks right after pruning."""
    patch: Callable[[int], Tensor]
    """Function from a number to a patch (C, X, Y, Z) of the training cases, not augmented."""
    mode: ComputeMode
    """Precision and memory format of the trainings."""
    device: torch.device

    def dice_rows(
        self, network: nn.Module, measure: str, *, few: bool = False
    ) -> list[dict[str, Cell]]:
        """Return a row for each case and label with the Dice of ``network``.

        Args:
            network: the network.
            measure: name of what is measured.
            few: whether only ``few_cases`` are predicted.

        Raises:
            InputError: scores that are not finite.
        """
        cases = self.few_cases if few else self.cases
        network = self._ready(network)
        score = validate(network, cases, self.plan, mode=self.mode, device=self.device)
        return [
            {"measure": measure, "case": case, "label": label, "value": dice}
            for case, labels in score.per_case.items()
            for label, dice in labels.items()
        ]

    def moments(self, network: nn.Module) -> BothSides:
        """Return the activations' statistics on both sides of every norm, in float32."""
        patches = (self.patch(number).to(self.device) for number in range(PATCHES_FOR_MOMENTS))
        network = self._ready(network)
        found = norm_moments(network, self.plan, patches, compute=network)
        return {
            side: {layer: moments.over_patches() for layer, moments in layers.items()}
            for side, layers in found.items()
        }

    def recalibrate(self, network: nn.Module) -> bool:
        """Measure the stored statistics of all norms anew; return whether there are any.

        They become the mean over BATCHES batches of the training's size.
        """
        norms = [module for module in network.modules() if uses_running_statistics(module)]
        if not norms:
            return False
        size = self.plan.batch_size
        predict = self.mode.wrap(self._ready(network))
        with torch.no_grad(), _measuring(norms), self.mode.autocast(self.device):
            for batch in range(BATCHES):
                numbers = range(batch * size, (batch + 1) * size)
                images = torch.stack([self.patch(number) for number in numbers])
                apply_network(predict, images.to(self.device), self.plan.slice_axis)
        return True

    def _ready(self, network: nn.Module) -> nn.Module:
        return network_to_memory_format(network.to(self.device).eval(), self.mode.layout)


@contextmanager
def _measuring(norms: Sequence[nn.Module]) -> Iterator[None]:
    """Let norms forget their statistics and average those of each batch while it is open."""
    momentum = [getattr(norm, "momentum", None) for norm in norms]
    for norm in norms:
        norm.train()
        norm.num_batches_tracked.zero_()  # type: ignore[operator]
        if isinstance(norm, nn.modules.batchnorm._NormBase):
            norm.momentum = None  # an equal average over all batches
    try:
        yield
    finally:
        for norm, before in zip(norms, momentum, strict=True):
            norm.eval()
            if isinstance(norm, nn.modules.batchnorm._NormBase):
                norm.momentum = before
