"""Opening the model that is meant, or the several of an ensemble."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from segkit.bundle import Bundle, read_bundle
from segkit.model_names import ensemble


def read_models(path: str | PathLike[str]) -> list[Bundle]:
    """The bundle at ``path``, or the bundles inside a folder of several (an ensemble), in natural order.

    Raises:
        InputError: no bundle there, or one that cannot be read.
    """
    return [read_bundle(place) for place in ensemble(Path(path))]
