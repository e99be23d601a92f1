"""From the path or name of a model to its bundles and to a Predictor."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import ensemble_paths, resolve_model
from segkit.inference.predictor import Predictor


def load(
    model: str | PathLike[str] | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "torch",
    overlap: float = 0.5,
    tta: bool = False,
    fast: bool = False,
    locate: str | PathLike[str] | None = None,
) -> Predictor:
    """A Predictor from a bundle or run folder, a .segkit file, a folder of several, or a model's name.

    ``load(MODEL).predict(scan)`` returns the label map as a Volume. Without a model: $SEGKIT_MODEL or the newest run.
    ``locate`` names a coarse model that first finds the box which the model then computes in.

    Raises:
        InputError: no such model, a damaged one, or a coarse model of other labels or channels.
    """
    bundles = read_models(resolve_model(model))
    coarse = None if locate is None else read_models(resolve_model(locate))
    return Predictor(
        bundles,
        device=device,
        precision=precision,
        engine=engine,
        overlap=overlap,
        tta=tta,
        fast=fast,
        locate=coarse,
    )


def read_models(path: str | PathLike[str]) -> list[Bundle]:
    """The bundle at ``path``, or the bundles inside a folder of several (an ensemble), in natural order.

    Raises:
        InputError: no bundle there, or one that cannot be read.
    """
    return [read_bundle(place) for place in ensemble_paths(Path(path))]
