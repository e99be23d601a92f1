"""Which channels a model takes, and what stands in for one that a scan lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle


@dataclass(frozen=True)
class MissingChannel:
    """A channel that a scan lacks."""

    place: int
    """Among the model's channels."""
    name: str
    fill: float
    """The value, in the scan's own numbers, that normalisation turns into 0."""


@dataclass(frozen=True)
class ModelChannels:
    """The channels of a model in their order; ``fills`` (see MissingChannel) where some of them may be left out."""

    names: tuple[str, ...]
    fills: tuple[float, ...] | None = None

    def missing(self, given: Sequence[int]) -> tuple[MissingChannel, ...]:
        """Those at other places than ``given``; none for a model that needs all."""
        return tuple(
            MissingChannel(place, self.names[place], fill)
            for place, fill in enumerate(self.fills or ())
            if place not in given
        )


def model_channels(bundles: Sequence[Bundle]) -> ModelChannels:
    """The channels of an ensemble; one may be left out where every model was trained with channel dropout."""
    channels = bundles[0].plan.channels
    names = tuple(channel.name for channel in channels)
    if not all(_trained_with_dropout(bundle) for bundle in bundles):
        return ModelChannels(names)
    return ModelChannels(
        names, tuple(channel.mean if channel.scheme == "ct" else 0.0 for channel in channels)
    )


def _trained_with_dropout(bundle: Bundle) -> bool:
    augment = (bundle.config or {}).get("augment")
    return isinstance(augment, dict) and bool(augment.get("channel_dropout"))
