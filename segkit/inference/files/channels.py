"""Channels of a model, and the values that replace a channel that a scan lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle


@dataclass(frozen=True)
class MissingChannel:
    """Channel of the model that a scan lacks."""

    index: int
    """Index among the model's channels."""
    name: str
    fill: float
    """Value in the scan's own units that normalization turns into 0."""


@dataclass(frozen=True)
class ModelChannels:
    """Channels of a model in their order."""

    names: tuple[str, ...]
    fills: tuple[float, ...] | None = None
    """Value of each channel where it is missing; None where the model needs all channels."""

    def missing(self, given: Sequence[int]) -> tuple[MissingChannel, ...]:
        """Return the channels that are not at the indices ``given``; none if all are needed."""
        return tuple(
            MissingChannel(index, self.names[index], fill)
            for index, fill in enumerate(self.fills or ())
            if index not in given
        )


def model_channels(bundles: Sequence[Bundle]) -> ModelChannels:
    """Return the channels of an ensemble.

    A channel may be missing where every model was trained with channel dropout.
    """
    channels = bundles[0].plan.channels
    names = tuple(channel.name for channel in channels)
    if not all(_trained_with_dropout(bundle) for bundle in bundles):
        return ModelChannels(names)
    fills = tuple(channel.mean if channel.scheme == "ct" else 0.0 for channel in channels)
    return ModelChannels(names, fills)


def _trained_with_dropout(bundle: Bundle) -> bool:
    augment = (bundle.config or {}).get("augment")
    return isinstance(augment, dict) and bool(augment.get("channel_dropout"))
