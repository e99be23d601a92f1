"""Scores of windows from one network or several, mirrored or not, in a precision and on a device."""

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

LAYOUT = "channels_last"
"""A fixed choice, not a timed one, so that the same scan gives the same label map every time.

In 3D no network was slower in it by more than 2 %, and some are 1.7 times as fast (docs/benchmarks); in 2D it took
0.95 of the time, but 1.1 for a toy of 4 and 8 channels.
"""


class WindowScorer:
    """What a sliding window calls: (B, C, X, Y[, Z]) to the mean of all networks and mirrorings, float32.

    The mean is that of scores, or of the features that enter the last layers
    (`segkit.inference.scoring.shared_head`) where those are fewer; `scores` makes either into scores.
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
            network_to_memory_format(network.to(device), LAYOUT) for network in networks
        ]
        if any(network.training for network in self.networks):
            raise TypeError("a network in training mode: call its eval() before predicting")
        self.device = device
        self.precision = precision
        self.mirrorings = mirrorings(plan) if tta else [()]
        self.left_right = window_axis(plan, LEFT_RIGHT)
        self.outputs = list(plan.mirrored_outputs) if plan.mirror_swaps else None
        self.classes = len(plan.label_values)
        self.heads = self._fewer_features()
        self._forwards = [engine(network, self.heads is None) for network in self.networks]

    @property
    def channels(self) -> int:
        """Of what is averaged."""
        return self.heads.width if self.heads else self.classes

    def scores(self, averaged: Tensor) -> Tensor:
        """The mean scores (K, ...) of what was averaged (features or scores, ...), on the CPU."""
        return self.heads.scores(averaged) if self.heads else averaged

    def _fewer_features(self) -> Heads | None:
        """The heads, where their features are fewer than scores and know no left and right that change places."""
        if self.outputs and any(self.left_right in axes for axes in self.mirrorings):
            return None
        heads = Heads.of(self.networks)
        return heads if heads and heads.width < self.classes else None

    def __call__(self, windows: Tensor) -> Tensor:
        """See the class."""
        windows = windows.to(self.device)
        total: Tensor | None = None
        with autocast(self.precision, self.device):
            for axes in self.mirrorings:
                turned = to_memory_format(_flipped(windows, axes), LAYOUT)
                found = self._turned_back(self._averaged(turned), axes)
                total = found if total is None else total.add_(found)
        if total is None:
            raise ValueError("no mirroring, not even none")
        return total.div_(len(self.mirrorings))

    def _averaged(self, windows: Tensor) -> Tensor:
        """What the networks have to say of windows, mirrored or not."""
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

    def _turned_back(self, scores: Tensor, axes: tuple[int, ...]) -> Tensor:
        if self.outputs and self.left_right in axes:
            scores = scores[:, self.outputs]
        return _flipped(scores, axes)

    def move(self, device: torch.device) -> None:
        """Go on with another device."""
        self.device = device
        for network in self.networks:
            network.to(device)


def _flipped(windows: Tensor, axes: tuple[int, ...]) -> Tensor:
    return windows.flip(axes) if axes else windows  # flip copies, even along no axis


def mirrorings(plan: Plan) -> list[tuple[int, ...]]:
    """Every combination of the plan's mirror axes, as axes of a batch of windows; the first is no mirroring.

    A 2D network's windows (B, C, and two axes) lack the slice axis.
    """
    axes = [
        axis for axis in (window_axis(plan, axis) for axis in plan.mirror_axes) if axis is not None
    ]
    return [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]


def window_axis(plan: Plan, axis: int) -> int | None:
    """The axis of a batch of windows that is ``axis`` of the scan; None for the slice axis."""
    seen = [each for each in range(3) if each != plan.slice_axis]
    return 2 + seen.index(axis) if axis in seen else None


def choose_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names.

    Raises:
        UsageError: another word, or a GPU that this machine does not have.
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
            f"--device {name}: this machine has {count} GPUs that torch can use; take --device cpu"
        )
    return torch.device(name)
