"""Score windows with one or several networks, mirrored or not, in a precision and on a device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.inference.scoring.engine import Engine, torch_engine
from segkit.inference.scoring.shared_head import Heads
from segkit.networks.precision import autocast, network_to_memory_format, to_memory_format
from segkit.plans.plan import LEFT_RIGHT, Plan
from segkit.plans.symmetry_rules import window_elements

MEMORY_FORMAT = "channels_last"
"""Memory format of networks and windows: fixed, so that a scan always gives the same label map.

In 3D no network was more than 2 % slower in it, and some were 1.7 times as fast
(docs/benchmarks). In 2D it took 0.95 of the time, but 1.1 for a tiny network of 4 and 8 channels.
"""


class WindowScorer:
    """Networks of one or several bundles that score batches of windows.

    Calling it with windows (B, C, X, Y[, Z]) returns the mean over all networks and mirrorings in
    float32. The mean is that of the scores, or of the features that enter the last layers
    (`segkit.inference.scoring.shared_head`) where those are fewer; `scores` turns both into scores.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        plan: Plan,
        *,
        device: torch.device,
        precision: str,
        tta: bool,
        engine: Engine = torch_engine,
    ) -> None:
        self.networks = [
            network_to_memory_format(network.to(device), MEMORY_FORMAT) for network in networks
        ]
        if any(network.training for network in self.networks):
            raise TypeError("a network in training mode: call its eval() before predicting")
        self.device = device
        self.precision = precision
        self.mirrorings = mirrorings(plan) if tta else [()]
        self.left_right = window_axis(plan, LEFT_RIGHT)
        self.outputs = list(plan.mirrored_outputs) if plan.mirror_swaps else None
        self.classes = len(plan.label_values)
        self.heads = self._smaller_heads()
        self._forwards = [engine(network, scores=self.heads is None) for network in self.networks]

    @property
    def channels(self) -> int:
        """Number of channels of the averaged tensor (features or class scores)."""
        return self.heads.width if self.heads else self.classes

    def scores(self, averaged: Tensor) -> Tensor:
        """Return the mean scores (K, ...) of averaged features or scores (F, ...), on the CPU."""
        return self.heads.scores(averaged) if self.heads else averaged

    def _smaller_heads(self) -> Heads | None:
        """Return the last layers where their features are fewer than the scores.

        They cannot be shared where mirroring swaps the outputs of left and right labels.
        """
        if self.outputs and any(self.left_right in axes for axes in self.mirrorings):
            return None
        heads = Heads.of(self.networks)
        return heads if heads and heads.width < self.classes else None

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the mean (B, F, ...) of scores or features over all networks and mirrorings."""
        windows = windows.to(self.device)
        total: Tensor | None = None
        with autocast(self.precision, self.device):
            for axes in self.mirrorings:
                mirrored = to_memory_format(_flipped(windows, axes), MEMORY_FORMAT)
                values = self._unmirrored(self._mean_over_networks(mirrored), axes)
                total = values if total is None else total.add_(values)
        if total is None:
            raise ValueError("the list of mirrorings is empty; it needs at least ()")
        return total.div_(len(self.mirrorings))

    def _mean_over_networks(self, windows: Tensor) -> Tensor:
        """Return the mean scores of the networks, or their features one after the other."""
        if self.heads:
            features = [forward(windows).float() for forward in self._forwards]
            return features[0] if len(features) == 1 else torch.cat(features, dim=1)
        total: Tensor | None = None
        for forward in self._forwards:
            scores = forward(windows).float()
            total = scores if total is None else total.add_(scores)
        if total is None:
            raise ValueError("no network")
        return total.div_(len(self.networks))

    def _unmirrored(self, scores: Tensor, axes: tuple[int, ...]) -> Tensor:
        if self.outputs and self.left_right in axes:
            scores = scores[:, self.outputs]
        return _flipped(scores, axes)

    def move(self, device: torch.device) -> None:
        """Move the networks to another device."""
        self.device = device
        for network in self.networks:
            network.to(device)


def _flipped(windows: Tensor, axes: tuple[int, ...]) -> Tensor:
    return windows.flip(axes) if axes else windows  # flip copies, even along no axis


def mirrorings(plan: Plan) -> list[tuple[int, ...]]:
    """Return every combination of the plan's mirror axes; the first one is empty.

    Axes are those of a batch of windows (B, C, ...), which lack the slice axis in 2D. Combinations
    that give the same scores as another one, by the symmetry of the network, are left out.
    """
    axes = [window_axis(plan, axis) for axis in plan.mirror_axes]
    mirrored = [axis for axis in axes if axis is not None]
    chosen = [axes for count in range(len(mirrored) + 1) for axes in combinations(mirrored, count)]
    return _different(chosen, plan) if plan.network.symmetry else chosen


def _different(mirrorings: list[tuple[int, ...]], plan: Plan) -> list[tuple[int, ...]]:
    """Return the mirrorings of which no two differ by a mirroring in the plan's symmetry."""
    left_right = window_axis(plan, LEFT_RIGHT) if plan.mirror_swaps else None
    # The axes that are reversed, and whether labels exchange names.
    same = [
        (
            {2 + axis for axis, sign in enumerate(element.signs) if sign < 0},
            bool(plan.mirror_swaps) and element.is_reflection,
        )
        for element in window_elements(plan)
        if list(element.axes) == sorted(element.axes)
    ]
    kept: list[tuple[int, ...]] = []
    for axes in mirrorings:
        between = [set(axes) ^ set(other) for other in kept]
        if not any((reversed_, left_right in reversed_) in same for reversed_ in between):
            kept.append(axes)
    return kept


def window_axis(plan: Plan, axis: int) -> int | None:
    """Return the axis of a batch of windows (B, C, ...) that is ``axis`` (0, 1, 2) of the scan.

    Return None for the slice axis of a 2D network, which its windows do not have.
    """
    scan_axes = [index for index in range(3) if index != plan.slice_axis]
    return 2 + scan_axes.index(axis) if axis in scan_axes else None


def choose_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names.

    Raises:
        UsageError: ``name`` is not a device, or a GPU that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise UsageError(f"--device {name}: must be auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise UsageError(
            f"--device {name}: this machine has {count} GPUs that torch can use; give --device cpu"
        )
    return torch.device(name)
