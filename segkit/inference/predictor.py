"""Predictor: networks, plan and device; a scan goes in, its label map comes out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.bundle import Bundle
from segkit.errors import OutOfMemoryError
from segkit.inference.blank import BlankOnce
from segkit.inference.decisions import Decision, check_finite_scores, decisions_of
from segkit.inference.engine import choose_engine, make_engine
from segkit.inference.ensemble import check_ensemble
from segkit.inference.finish import block_bytes
from segkit.inference.label_warnings import label_warnings
from segkit.inference.layout import Layout, Work, choose_layout
from segkit.inference.locate import Locator, warn_of_cut
from segkit.inference.precision import choose_precision
from segkit.inference.restore import Output, restore
from segkit.inference.scorer import WindowScorer, choose_device
from segkit.inference.watched import CountedNetwork, Progress, Stopwatch, WatchedScan
from segkit.io import from_object
from segkit.postprocessing import apply_rules
from segkit.preprocessing.chain import prepare_parts
from segkit.preprocessing.crop import Box
from segkit.preprocessing.scan_warnings import scan_warnings
from segkit.preprocessing.straighten import straightened
from segkit.sliding_window import score_slabs
from segkit.tile_mismatch import TileMismatch
from segkit.volume import Volume
from segkit.windows import Network

log = logging.getLogger(__name__)

FAST_OVERLAP = 0.25
Where = str | PathLike[str] | None
"""A scan's name in messages."""


class Predictor:
    """A model ready to predict; one for many scans.

    The networks of several bundles, and of the folds of each, are averaged. They must agree on what a scan looks like
    on its way in and on the labels.
    """

    def __init__(
        self,
        bundle: Bundle | Sequence[Bundle],
        *,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "torch",
        overlap: float = 0.5,
        tta: bool = False,
        threads: int | None = None,
        fast: bool = False,
        max_memory: int | None = None,
        count_mismatch: bool = False,
        locate: Bundle | Sequence[Bundle] | None = None,
        quiet: bool = False,
    ) -> None:
        """
        Args:
            bundle: one model, or several as an ensemble.
            device: auto, cpu, cuda or cuda:N.
            precision: auto, float32, bfloat16 or float16.
            engine: auto, torch or openvino, which computes on a CPU.
            overlap: share of a window's edge that neighbouring windows have in common.
            tta: also average over mirrored windows, along the axes that the plan allows.
            threads: CPU threads of the whole process; None leaves them.
            fast: overlap 0.25 and no mirroring, whatever else was asked.
            max_memory: bytes that the process may take; decides how a scan is gone through, never the result.
            count_mismatch: count where windows alone say something else than together, for ``tile_mismatch``.
            locate: a coarse model, or several, which finds the box that the networks then compute in.
            quiet: say nothing of what is odd about a scan: a coarse model leaves that to the one it locates for.
        """
        self.bundles = [bundle] if isinstance(bundle, Bundle) else list(bundle)
        self.plan = check_ensemble(self.bundles)
        rules = self.bundles[0].postprocessing
        self._rules = {self.plan.labels[name]: rule for name, rule in rules.items()}
        self.overlap = FAST_OVERLAP if fast else overlap
        self.tta = tta and not fast
        self.max_memory = max_memory
        self.count_mismatch = count_mismatch
        self._quiet = quiet
        if threads is not None:
            torch.set_num_threads(threads)
        place = choose_device(device)
        self.precision, self.precision_reason = choose_precision(precision, place, self.bundles)
        if self.precision != "float32":
            log.info("computing in %s: %s", self.precision, self.precision_reason)
        self.seconds: dict[str, float] = {}
        """Of the last prediction: locate (where a coarse model did), prepare, network, restore."""
        self.tile_mismatch: float | None = None
        """Of the last prediction, where it was counted: see `segkit.tile_mismatch`, on the network's grid."""
        self.scan_warnings: list[str] = []
        """What was unusual about the last scan."""
        self.label_warnings: dict[str, str] = {}
        """Labels of the last result that are far from those of the training data."""
        networks = [network for each in self.bundles for network in each.networks()]
        self.engine = choose_engine(engine, device=place, precision=self.precision, networks=networks)
        self._scorer = WindowScorer(
            networks,
            self.plan,
            device=place,
            precision=self.precision,
            tta=self.tta,
            engine=make_engine(self.engine, self.plan, self.precision),
        )
        # The box needs no exact border.
        coarse = locate and Predictor(
            locate, device=device, precision=precision, engine=engine, fast=True, max_memory=max_memory, quiet=True
        )
        self.locator = Locator(coarse, self.plan) if coarse else None

    @property
    def device(self) -> torch.device:
        """Where the networks are; a GPU whose memory is too small gives way to the CPU."""
        return self._scorer.device

    @property
    def threads(self) -> int:
        """CPU threads of the whole process."""
        return torch.get_num_threads()

    def predict(self, scan: object, *, where: Where = None, progress: Progress | None = None, after: int = 0) -> Volume:
        """The label map (1, X, Y, Z) of a scan, on its own grid, in the values of the label files.

        Args:
            scan: a path, a nibabel image, a SimpleITK image or a Volume.
            where: the scan's name in messages.
            progress: called with windows done and windows in all.
            after: bytes that the caller takes once it has the label map; they count for ``max_memory``.

        Raises:
            InputError: a scan that cannot be read, or is not what the model was trained for.
            OutOfMemoryError: it does not fit into memory at the plan's spacing, or its scores do not.
        """
        return self._predict(scan, where, progress, after=after, with_uncertainty=False)[0]

    def predict_with_uncertainty(
        self, scan: object, *, where: Where = None, progress: Progress | None = None, after: int = 0
    ) -> tuple[Volume, Volume]:
        """As `predict`, and a map (1, X, Y, Z) of how uncertain each voxel is, float32 from 0 to 1.

        See `segkit.inference.uncertainty.entropy`. What the network did not see, a constant border, is 0.
        """
        labels, uncertainty = self._predict(scan, where, progress, after=after, with_uncertainty=True)
        return labels, uncertainty

    def _predict(
        self, scan: object, where: Where, progress: Progress | None, *, after: int, with_uncertainty: bool
    ) -> list[Volume]:
        name = Path(where or (scan if isinstance(scan, str | PathLike) else "scan"))
        volume = from_object(scan)
        stopwatch = Stopwatch()
        with stopwatch("prepare"):
            straight, lean = straightened(volume, name)
            parts = prepare_parts(straight, self.plan, where=name)
            self.scan_warnings = scan_warnings(parts.grid, self.plan, parts.normalizers, self.plan.training)
            self._warn(self.scan_warnings, name)
            image = WatchedScan(parts, stopwatch, self.plan.patch, self.overlap)
        box = None
        if self.locator:
            with stopwatch("locate"):
                box = self.locator.find(straight, parts.way_back, where=name)
        decisions = decisions_of(self.plan, with_uncertainty=with_uncertainty)
        work = self._work(image, decisions, box, after, leans=bool(lean.shifts))
        labels, *others = self._results(image, work, decisions, name, progress)
        labels = apply_rules(labels, self._rules)
        if box:
            warn_of_cut(labels, parts.way_back, box, self.plan.labels, where=name)
        if not self._quiet:
            self.label_warnings = label_warnings(straight.with_array(labels[None]), self.plan)
            self._warn([f"{label}: {text}" for label, text in self.label_warnings.items()], name)
        self.seconds = stopwatch.seconds()
        return [volume.with_array(lean.back(each[None])) for each in (labels, *others)]

    def _warn(self, warnings: Sequence[str], where: Path) -> None:
        for warning in warnings if not self._quiet else ():
            log.warning("%s: %s", where, warning)

    def _work(
        self, image: WatchedScan, decisions: Sequence[Decision], box: Box | None, after: int, *, leans: bool
    ) -> Work:
        """All of it in this machine's memory."""
        parts = image.scan
        label, written = decisions[0].dtype.itemsize, sum(decision.dtype.itemsize for decision in decisions)
        voxels = parts.way_back.source_voxels
        ruled = label * min(2, len(self._rules)) * voxels + block_bytes(voxels) if self._rules else 0
        return Work(
            parts,
            self.plan,
            self._scorer.channels,
            self._scorer.classes,
            self.overlap,
            image.margins,
            tuple(bundle.plan.network for bundle in self.bundles),
            written,
            label if self.count_mismatch else 0,
            box,
            # Copies by a rule, while that of the rule before is held, and on the way back to a tilted grid.
            after=max(ruled, written * voxels if leans else 0, after),
        )

    def _layout(self, work: Work, sums: torch.device, where: Path) -> Layout:
        """For networks that are where they are now, and sums there."""
        networks = work.networks if self.device.type == "cpu" else ()
        here = dataclasses.replace(work, networks=networks, sums=sums.type == "cpu")
        return choose_layout(here, limit=self.max_memory, where=where)

    def _results(
        self, image: WatchedScan, work: Work, decisions: Sequence[Decision], where: Path, progress: Progress | None
    ) -> list[NDArray[Any]]:
        """(X, Y, Z) on the scan's grid of each decision; a GPU that is too small gives way step by step.

        Each step asks again whether this machine's memory is enough, for it takes what the GPU gives up.
        """
        last = ""
        for place, batch in self._places():
            layout = self._layout(work, place, where).with_batch(batch)
            try:
                return self._decided(image, layout, decisions, place, where=where, progress=progress)
            except torch.OutOfMemoryError as error:
                log.warning("%s: the GPU's memory is too small; trying with less of it", where)
                last = str(error)  # not the error itself: its traceback would hold the tensors
                torch.cuda.empty_cache()
        raise OutOfMemoryError(f"{where}: {last}")

    def _decided(
        self,
        image: WatchedScan,
        layout: Layout,
        decisions: Sequence[Decision],
        place: torch.device,
        *,
        where: Path,
        progress: Progress | None,
    ) -> list[NDArray[Any]]:
        network: Network = BlankOnce(self._scorer)
        if progress:
            network = CountedNetwork(network, progress, layout.count(image.shape))
        way_back = image.scan.way_back
        outputs = [Output(each.decide, np.zeros(way_back.source_shape, each.dtype)) for each in decisions]
        labels = decisions[0].decide
        scores_of = partial(self._scores, where)
        mismatch = TileMismatch(lambda averaged: labels(scores_of(averaged.cpu().numpy())))
        with torch.inference_mode():
            for part in layout.parts:
                slabs = score_slabs(
                    network,
                    image,
                    layout.windows,
                    device=place,
                    within=part.made_of,
                    around=image.margins,
                    mismatch=mismatch if self.count_mismatch else None,
                )
                restore(
                    image.stopwatch.timed(slabs),
                    way_back,
                    outputs,
                    axis=layout.windows.axis,
                    part=part,
                    scores_of=scores_of,
                    classes=self._scorer.classes,
                )
        self.tile_mismatch = mismatch.share if self.count_mismatch else None
        return [output.into for output in outputs]

    def _scores(self, where: Path, averaged: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of what was averaged over windows, networks and mirrorings."""
        scores = self._scorer.scores(torch.from_numpy(np.ascontiguousarray(averaged))).numpy()
        check_finite_scores(scores, where, self.precision)
        return scores

    def _places(self) -> Iterator[tuple[torch.device, int | None]]:
        """Where scores are summed and how many windows are computed at once, from fast to frugal."""
        cpu = torch.device("cpu")
        if self.device.type == "cuda":
            yield self.device, None
            yield self.device, 1
            yield cpu, 1
            log.warning("the network does not fit into the GPU's memory: going on with the CPU")
            self._scorer.move(cpu)
        yield cpu, None
