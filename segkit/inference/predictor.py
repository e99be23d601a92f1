"""Predictor: networks, plan and device; a scan goes in, its label map comes out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

import torch
from numpy.typing import ArrayLike, NDArray

from segkit.bundle.bundle import Bundle
from segkit.errors import OutOfMemoryError
from segkit.inference.ensemble import check_ensemble
from segkit.inference.files.finalize import block_bytes
from segkit.inference.files.label_warnings import label_warnings
from segkit.inference.locate import Locator, on_scan, warn_of_cut
from segkit.inference.prediction import Options, Prediction, Wanted, channel_names, volumes_of
from segkit.inference.scoring.decisions import Decision, decisions_of
from segkit.inference.scoring.engine import choose_engine, make_engine
from segkit.inference.scoring.memory_plan import Layout, Work, choose_layout
from segkit.inference.scoring.precision import choose_precision
from segkit.inference.scoring.scan_scores import score_scan
from segkit.inference.scoring.timing import Stopwatch, WatchedScan
from segkit.inference.scoring.window_scorer import WindowScorer, choose_device
from segkit.io import from_object
from segkit.labels.postprocessing import apply_rules
from segkit.preprocessing.chain import prepare_parts
from segkit.preprocessing.gantry_tilt import without_tilt
from segkit.preprocessing.scan_warnings import scan_warnings
from segkit.progress import WindowProgress
from segkit.volume import Box, Volume

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
            quiet: log nothing odd about a scan, as a coarse model does.
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
        self.seconds: Mapping[str, float] = {}
        """Seconds of the last prediction that ended; a `Prediction` has its own."""
        self.tile_mismatch: float | None = None
        """That of the last prediction that ended; a `Prediction` has its own."""
        networks = [network for each in self.bundles for network in each.networks()]
        self.engine = choose_engine(
            engine, device=place, precision=self.precision, networks=networks
        )
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
            locate,
            device=device,
            precision=precision,
            engine=engine,
            fast=True,
            max_memory=max_memory,
            quiet=True,
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
        """Return the label map (1, X, Y, Z) of a scan, on its own grid, in the values of the label files.

        Several threads may call this at once.

        Args:
            scan: a path, a nibabel image, a SimpleITK image, a Volume, or a numpy array (X, Y, Z) or (C, X, Y, Z).
            probabilities: return a `Prediction`, which has the probabilities of all labels as well, in float32.
            options: ``spacing`` or ``affine`` of a numpy array, and what else `prediction` takes.

        Raises:
            InputError: a scan that cannot be read, or is not what the model was trained for.
            OutOfMemoryError: it does not fit into memory at the plan's spacing, or its scores do not.
            UsageError: a numpy array without a geometry, or a geometry for another scan.
        """
        found = self.prediction(
            scan, Wanted(probabilities="float32" if probabilities else None), **options
        )
        return found if probabilities else found.labels

    def predict_with_uncertainty(
        self, scan: object, **options: Unpack[Options]
    ) -> tuple[Volume, Volume]:
        """As `predict`, and a map (1, X, Y, Z) of how uncertain each voxel is, float32 from 0 to 1.

        See `segkit.inference.scoring.decisions.entropy`. What the network did not see, a constant border, is 0.
        """
        found = self.prediction(scan, Wanted(uncertainty=True), **options)
        return found.labels, cast(Volume, found.uncertainty)

    def prediction(
        self,
        scan: object,
        wanted: Wanted = Wanted(),  # noqa: B008 - frozen
        *,
        spacing: Sequence[float] | None = None,
        affine: ArrayLike | None = None,
        where: Where = None,
        progress: WindowProgress | None = None,
        after: int = 0,
    ) -> Prediction:
        """Return the label map of a scan and what else is ``wanted``.

        Args:
            scan: as for `predict`.
            wanted: what is computed besides the label map.
            spacing: edge lengths of a voxel of a numpy array in mm, along X, Y, Z (right, anterior, superior).
            affine: (4, 4), voxel index of a numpy array to mm in RAS+.
            where: the scan's name in messages.
            progress: called with windows done and windows in all.
            after: bytes that the caller takes once it has the result; they count for ``max_memory``.
        """
        name = Path(where or (scan if isinstance(scan, str | PathLike) else "scan"))
        plan = self.plan
        volume = from_object(
            scan, spacing=spacing, affine=affine, channels=len(plan.channels), unit=plan.unit
        )
        stopwatch = Stopwatch()
        with stopwatch("prepare"):
            straight, lean = without_tilt(volume, name)
            parts = prepare_parts(straight, plan, where=name)
            unusual = scan_warnings(
                parts.grid, plan, parts.normalizers, plan.training, corner=parts.corner
            )
            self._warn(unusual, name)
            image = WatchedScan(parts, stopwatch, plan.patch, self.overlap)
        box = None
        if self.locator:
            with stopwatch("locate"):
                box = self.locator.find(straight, parts.way_back, where=name)
        decisions = decisions_of(plan, wanted)
        work = self._work(image, decisions, box, after, leans=bool(lean.shifts))
        arrays, mismatch = self._results(image, work, decisions, name, progress)
        arrays[0] = apply_rules(arrays[0][0], self._rules)[None]
        if box:
            warn_of_cut(arrays[0][0], parts.way_back, box, plan.labels, where=name)
        odd_labels = {} if self._quiet else label_warnings(straight.with_array(arrays[0]), plan)
        self._warn([f"{label}: {text}" for label, text in odd_labels.items()], name)
        leaned = [each.leaned(array, lean) for each, array in zip(decisions, arrays, strict=True)]
        self.seconds, self.tile_mismatch = stopwatch.seconds(), mismatch
        return Prediction(
            label_names=plan.labels,
            channel_names=channel_names(plan),
            seconds=self.seconds,
            box=on_scan(box, parts.way_back) if box else None,
            tile_mismatch=mismatch,
            scan_warnings=tuple(unusual),
            label_warnings=odd_labels,
            **volumes_of(volume, leaned, wanted),
        )

    def _warn(self, warnings: Sequence[str], where: Path) -> None:
        for warning in warnings if not self._quiet else ():
            log.warning("%s: %s", where, warning)

    def _work(
        self,
        image: WatchedScan,
        decisions: Sequence[Decision],
        box: Box | None,
        after: int,
        *,
        leans: bool,
    ) -> Work:
        """All of it in this machine's memory."""
        parts = image.scan
        voxels = parts.way_back.source_voxels
        label, mapped = decisions[0].bytes, [each for each in decisions if each.is_mapped(voxels)]
        written = sum(each.bytes for each in decisions if each not in mapped)
        copied = written + max(
            (2 * each.dtype.itemsize for each in mapped), default=0
        )  # a channel, and it moved
        blocks = block_bytes(voxels) if self._rules or self.plan.training else 0
        ruled = label * min(2, len(self._rules)) * voxels + blocks
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
            after=max(ruled, copied * voxels if leans else 0, after),
            mapped=sum(each.bytes for each in mapped),
        )

    def _results(
        self,
        image: WatchedScan,
        work: Work,
        decisions: Sequence[Decision],
        where: Path,
        progress: WindowProgress | None,
    ) -> tuple[list[NDArray[Any]], float | None]:
        """Return (K, X, Y, Z) on the scan's grid of each decision, and the tile mismatch where it is counted.

        A GPU that is too small gives way step by step.

        Each step asks again whether this machine's memory is enough, for it takes what the GPU gives up.
        """
        last = ""
        for place, batch in self._places():
            networks = work.networks if self.device.type == "cpu" else ()
            here = dataclasses.replace(work, networks=networks, sums=place.type == "cpu")
            layout = choose_layout(here, limit=self.max_memory, where=where).with_batch(batch)
            try:
                return self._decided(
                    image, layout, decisions, place, where=where, progress=progress
                )
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
        progress: WindowProgress | None,
    ) -> tuple[list[NDArray[Any]], float | None]:
        return score_scan(
            self._scorer,
            image,
            layout,
            decisions,
            sums=place,
            where=where,
            progress=progress,
            count_mismatch=self.count_mismatch,
        )

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
