"""Predictor: a trained model on a device, which turns a scan into its label map."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Unpack, cast, overload

import torch

from segkit.bundle.bundle import Bundle
from segkit.bundle.overlap_dice import USUAL_OVERLAP, choose_overlap
from segkit.errors import UsageError
from segkit.inference.ensemble import check_ensemble
from segkit.inference.locate import Locator
from segkit.inference.predict_scan import ScanPredictor
from segkit.inference.prediction import Options, Prediction, Wanted, given_scan
from segkit.inference.scoring.ready_networks import ready_networks
from segkit.inference.scoring.scan_scorer import ScanScorer
from segkit.plans.plan import Plan
from segkit.quality.arrangement_entry import arrangement_of
from segkit.quality.entry import estimators_of
from segkit.volume import Volume

FAST_OVERLAP = 0.25
Overlap = float | Literal["auto"]
"""Overlap of windows; auto takes the smallest one whose cost the models allow."""

log = logging.getLogger(__name__)


class Predictor:
    """Model that is ready to predict many scans; several threads may use one.

    It averages the networks of several bundles, which must have the same preparation and labels.
    """

    def __init__(
        self,
        bundle: Bundle | Sequence[Bundle],
        *,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "torch",
        overlap: Overlap = USUAL_OVERLAP,
        tta: bool = False,
        threads: int | None = None,
        fast: bool = False,
        max_memory: int | None = None,
        count_mismatch: bool = False,
        locate: Bundle | Sequence[Bundle] | None = None,
        quiet: bool = False,
        strict: bool = False,
    ) -> None:
        """
        Args:
            bundle: one model, or several as an ensemble.
            device: auto, cpu, cuda or cuda:N.
            precision: auto, float32, bfloat16 or float16.
            engine: auto, torch or openvino, which computes on a CPU.
            overlap: fraction of a window's edge that neighboring windows share; auto: `overlap_of`.
            tta: also average over windows mirrored along the axes that the plan allows.
            threads: CPU threads of PyTorch during a prediction; None changes nothing.
            fast: overlap 0.25 and no mirroring, whatever ``overlap`` and ``tta`` say.
            max_memory: bytes that the process may take; changes how it computes, not the result.
            count_mismatch: count the voxels that single windows label differently.
            locate: coarse model, or several, that finds the box in which the networks predict.
            quiet: log no warnings about scans and labels.
            strict: refuse scans of a group that was not among those of the harmonization.
        """
        self.bundles = [bundle] if isinstance(bundle, Bundle) else list(bundle)
        self.plan = check_ensemble(self.bundles)
        self.overlap, self.overlap_reason = overlap_of(self.bundles, overlap, fast=fast)
        self.tta = tta and not fast
        self._threads = threads
        choices = {"device": device, "precision": precision, "engine": engine}
        with cpu_threads(threads):
            ready = ready_networks(self.bundles, self.plan, tta=self.tta, **choices)
            self.locator = coarse_locator(locate, self.plan, max_memory, strict=strict, **choices)
        self.engine, self.precision = ready.engine, ready.precision
        self.precision_reason = ready.precision_reason
        self._scorer = ScanScorer(
            ready.scorer,
            self.plan,
            networks=tuple(model.plan.network for model in self.bundles),
            overlap=self.overlap,
            max_memory=max_memory,
            count_mismatch=count_mismatch,
        )
        self._scans = scan_predictor(
            self.bundles, self.plan, self._scorer, self.locator, quiet=quiet, strict=strict
        )

    @property
    def device(self) -> torch.device:
        """Device of the networks; a GPU with too little memory is replaced by the CPU."""
        return self._scorer.windows.device

    @property
    def threads(self) -> int:
        """Number of CPU threads of PyTorch while this model predicts."""
        return self._threads or torch.get_num_threads()

    @overload
    def predict(
        self, scan: object, *, probabilities: Literal[False] = False, **options: Unpack[Options]
    ) -> Volume: ...

    @overload
    def predict(
        self, scan: object, *, probabilities: Literal[True], **options: Unpack[Options]
    ) -> Prediction: ...

    def predict(
        self, scan: object, *, probabilities: bool = False, **options: Unpack[Options]
    ) -> Volume | Prediction:
        """Return the label map (1, X, Y, Z) of a scan, on its own grid, in the label files' values.

        Args:
            scan: path, nibabel or SimpleITK image, Volume, or array (X, Y, Z) or (C, X, Y, Z).
            probabilities: return a `Prediction` that also has the probabilities of all labels.
            options: ``spacing`` or ``affine`` of an array, and others: see `given_scan`.

        Raises:
            InputError: a scan that cannot be read, or that the model was not trained for.
            OutOfMemoryError: the scan at the plan's spacing, or its scores, do not fit into memory.
            UsageError: an array without a geometry, or a geometry for another kind of scan.
        """
        wanted = Wanted(probabilities="float32" if probabilities else None)
        prediction = self.prediction(scan, wanted, **options)
        return prediction if probabilities else prediction.labels

    def predict_with_uncertainty(
        self, scan: object, **options: Unpack[Options]
    ) -> tuple[Volume, Volume]:
        """Return the label map, and the entropy (1, X, Y, Z), which is 0 in a constant border."""
        prediction = self.prediction(scan, Wanted(uncertainty=True), **options)
        return prediction.labels, cast(Volume, prediction.uncertainty)

    def prediction(
        self,
        scan: object,
        wanted: Wanted = Wanted(),  # noqa: B008 - frozen
        **options: Unpack[Options],
    ) -> Prediction:
        """Return the label map of a scan, and what else is ``wanted``; see `predict`."""
        given = given_scan(scan, self.plan, **options)
        with cpu_threads(self._threads):
            return self._scans.predict(given, wanted)


def scan_predictor(
    bundles: Sequence[Bundle],
    plan: Plan,
    scorer: ScanScorer,
    locator: Locator | None,
    *,
    quiet: bool,
    strict: bool,
) -> ScanPredictor:
    """Return the predictor of scans with the rules of the first model, and estimators of all."""
    rules = {plan.labels[label]: rule for label, rule in bundles[0].postprocessing.items()}
    estimators = estimators_of([model.card for model in bundles])
    found = [arrangement_of(model.card) for model in bundles]
    arrangements = [arrangement for arrangement in found if arrangement]
    return ScanPredictor(plan, scorer, rules, locator, quiet, strict, estimators, arrangements)


def overlap_of(bundles: Sequence[Bundle], overlap: Overlap, *, fast: bool) -> tuple[float, str]:
    """Return the overlap of windows, and the reason in words.

    Args:
        bundles: models of an ensemble.
        overlap: a fraction, or auto to choose by what the training of the models has measured.
        fast: `FAST_OVERLAP`, whatever ``overlap`` says.

    Raises:
        UsageError: neither a number nor auto.
    """
    if fast:
        return FAST_OVERLAP, "fast prediction"
    if isinstance(overlap, str):
        if overlap != "auto":
            raise UsageError(f"overlap {overlap!r}: must be auto, or from 0 to below 1")
        chosen, reason = choose_overlap([bundle.card for bundle in bundles])
        log.info("overlap of windows %g: %s", chosen, reason)
        return chosen, reason
    return overlap, "not auto"


def coarse_locator(
    bundles: Bundle | Sequence[Bundle] | None,
    plan: Plan,
    max_memory: int | None,
    *,
    device: str,
    precision: str,
    engine: str,
    strict: bool = False,
) -> Locator | None:
    """Return the locator of coarse ``bundles``, if any, for a model with this plan.

    It predicts with the option ``fast``, because the box needs no exact border.
    """
    if not bundles:
        return None
    coarse = Predictor(
        bundles,
        device=device,
        precision=precision,
        engine=engine,
        fast=True,
        max_memory=max_memory,
        quiet=True,
        strict=strict,
    )
    return Locator(coarse.predict, coarse.bundles, plan)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch compute with ``count`` CPU threads in this context; None changes nothing.

    The number belongs to the calling thread; PyTorch also gives it to threads that start later.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
