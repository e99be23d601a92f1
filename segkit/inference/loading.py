"""Load a model by its path or name: its bundles, or a Predictor."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import ensemble_paths, resolve_model
from segkit.bundle.overlap_dice import USUAL_OVERLAP
from segkit.inference.predictor import Overlap, Predictor


def load(
    model: str | PathLike[str] | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "torch",
    overlap: Overlap = USUAL_OVERLAP,
    tta: bool = False,
    fast: bool = False,
    locate: str | PathLike[str] | None = None,
    strict: bool = False,
) -> Predictor:
    """Return a Predictor of a model; ``load(MODEL).predict(scan)`` is the label map, a Volume.

    Args:
        model: a bundle or run folder, a .segkit file, a folder of several models (an ensemble), or
            the name of a model; None is $SEGKIT_MODEL, or else the newest run.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, float32, bfloat16 or float16.
        engine: auto, torch or openvino, which computes on a CPU.
        overlap: fraction of a window's edge that neighboring windows have in common; auto is the
            smallest one that costs little Dice, by what the training of the model has measured.
        tta: also average over windows mirrored along the axes that the plan allows.
        fast: overlap 0.25 and no mirroring, whatever ``overlap`` and ``tta`` say.
        locate: a coarse model that finds the box in which the model predicts.
        strict: refuse scans of a group (site, scanner) that was not among those of the model's
            harmonization; otherwise such a scan is flagged.

    Raises:
        InputError: no such model, a damaged one, or a coarse model of other labels or channels.
        UsageError: ``device``, ``precision`` or ``engine`` is none of those listed here.
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
        strict=strict,
    )


def read_models(path: str | PathLike[str]) -> list[Bundle]:
    """Return the bundle at ``path``, or the bundles of a folder of several, in natural order.

    Raises:
        InputError: no bundle is there, or one cannot be read.
    """
    return [read_bundle(bundle) for bundle in ensemble_paths(Path(path))]
