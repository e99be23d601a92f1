"""Score a whole scan within the available memory, and fill its results on the scan's own grid."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.errors import OutOfMemoryError
from segkit.inference.prediction import Result
from segkit.inference.scoring.constant_windows import ConstantWindowCache
from segkit.inference.scoring.memory_plan import MemoryNeeds, MemoryPlan, choose_memory_plan
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.inference.scoring.to_scan_grid import Decision, Output, write_on_scan_grid
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.labels.voxel_values import Decide, Scores, check_finite_scores, decide_by
from segkit.plans.plan import NetworkPlan, Plan
from segkit.preprocessing.chain import ScanParts
from segkit.progress import WindowProgress
from segkit.quality.soft_overlap import SoftOverlap
from segkit.sliding_window.disagreement import TileMismatch
from segkit.sliding_window.scores import score_slabs
from segkit.sliding_window.windows import Network, margins
from segkit.volume import Box, Shape

log = logging.getLogger(__name__)

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One prepared scan to score, the decisions to make, and how it is reported."""

    scan: ScanParts
    decisions: Mapping[Result, Decision]
    box: Box | None = None
    """Box of the cropped scan that is scored; None is all of it."""
    after: int = 0
    """Bytes that are needed after scoring, in addition to the results; they count as memory."""
    where: Path = Path("scan")
    """The scan's name in messages."""
    progress: WindowProgress | None = None
    soft_overlap: bool = False
    """True adds up how the label map overlaps with the probabilities."""


@dataclass(frozen=True)
class Scored:
    """Results of scoring one scan."""

    arrays: dict[Result, NDArray[Any]]
    """Values (K, X, Y, Z) of each decision, on the grid of the scan that was prepared."""
    tile_mismatch: float | None = None
    """Fraction of voxels as in `segkit.sliding_window.disagreement`, where it was counted."""
    soft_overlap: SoftOverlap | None = None
    """Overlap of the label map with the probabilities, where it was added up."""


class TimedScan:
    """Prepared scan as tensors, for a sliding window (a `LazyImage`).

    The time to prepare its parts counts as the stage ``prepare``.
    """

    def __init__(
        self, scan: ScanParts, stopwatch: Stopwatch, *, window: Shape, overlap: float
    ) -> None:
        self.scan, self.stopwatch = scan, stopwatch
        self.margins = margins(self, window, overlap)

    @property
    def shape(self) -> Shape:
        """Number of voxels along X, Y, Z of the network's grid."""
        return self.scan.shape

    def part(self, box: Box) -> Tensor:
        """Return the voxels (C, X, Y, Z) of a box of the network's grid."""
        with self.stopwatch.stage("prepare"):
            return torch.from_numpy(self.scan.part(box))


class ReportingNetwork:
    """Network that reports progress after every batch of windows."""

    def __init__(self, network: Network, progress: WindowProgress, *, total: int) -> None:
        self.network, self.progress, self.total, self.done = network, progress, total, 0

    def __call__(self, windows: Tensor) -> Tensor | list[Tensor]:
        """Return what the network returns for windows (B, C, ...)."""
        scores = self.network(windows)
        self.done += windows.shape[0]
        self.progress(self.done, self.total)
        return scores


class ScanScorer:
    """Networks, overlap and memory limit that score whole scans."""

    def __init__(
        self,
        windows: WindowScorer,
        plan: Plan,
        *,
        networks: tuple[NetworkPlan, ...],
        overlap: float,
        max_memory: int | None = None,
        count_mismatch: bool = False,
    ) -> None:
        """
        Args:
            windows: scores batches of windows.
            plan: plan of the ensemble.
            networks: plan of each network, for the memory that it takes.
            overlap: fraction of a window's edge that neighboring windows have in common.
            max_memory: bytes that the process may take; None for all free memory.
            count_mismatch: count the voxels that single windows label differently.
        """
        self.windows, self.plan, self.networks = windows, plan, networks
        self.overlap, self.max_memory = overlap, max_memory
        self.count_mismatch = count_mismatch
        decide = decide_by(plan.label_values, regions=bool(plan.regions))
        self._labels_of = partial(decided_labels, windows, decide)

    def score(self, scoring: Scoring, stopwatch: Stopwatch) -> Scored:
        """Return the values of all decisions on the scan's grid.

        Where the memory of a GPU is too small, less and less of it is used. Each step checks again
        whether this machine's memory suffices, because it takes what the GPU gives up.

        Raises:
            InputError: scores that are not finite, or no disk space for a temporary file.
            OutOfMemoryError: the scan or its scores do not fit into memory.
        """
        with stopwatch.stage("prepare"):
            image = TimedScan(scoring.scan, stopwatch, window=self.plan.patch, overlap=self.overlap)
        needs = memory_needs(self, scoring, image)
        message = ""
        for sums_device, batch in self._attempts():
            on_cpu = self.windows.device.type == "cpu"
            in_memory = replace(
                needs,
                networks=needs.networks if on_cpu else (),
                holds_sums=sums_device.type == "cpu",
            )
            memory_plan = choose_memory_plan(
                in_memory, limit=self.max_memory, where=scoring.where
            ).with_batch(batch)
            try:
                return self._score_once(scoring, image, memory_plan, sums_device)
            except torch.OutOfMemoryError as error:
                log.warning(
                    "%s: the GPU's memory is too small; trying with less of it", scoring.where
                )
                message = str(error)  # not the error: its traceback would hold the tensors
                torch.cuda.empty_cache()
        raise OutOfMemoryError(f"{scoring.where}: {message}")

    def _attempts(self) -> Iterator[tuple[torch.device, int | None]]:
        """Yield the device of the sums and the windows per batch, from fast to least memory.

        After the last attempt on a GPU the networks are moved to the CPU, where they stay.
        """
        device = self.windows.device
        if device.type == "cuda":
            yield device, None
            yield device, 1
            yield CPU, 1
            log.warning("the network does not fit into the GPU's memory: continuing on the CPU")
            self.windows.move(CPU)
        yield CPU, None

    def _score_once(
        self,
        scoring: Scoring,
        image: TimedScan,
        memory_plan: MemoryPlan,
        sums_device: torch.device,
    ) -> Scored:
        """Score all parts of a scan by one memory plan, with the sums on ``sums_device``."""
        network: Network = ConstantWindowCache(self.windows)
        if scoring.progress:
            count = memory_plan.count(image.shape)
            network = ReportingNetwork(network, scoring.progress, total=count)
        inverse, axis = scoring.scan.inverse, memory_plan.windows.axis
        overlap = overlap_to_add(scoring, self.plan)
        outputs = {
            name: Output(decision.decide, decision.array(inverse, axis))
            for name, decision in scoring.decisions.items()
        }
        scores_of = partial(finite_scores, self.windows, scoring.where)
        mismatch = TileMismatch(self._labels_of) if self.count_mismatch else None
        with torch.inference_mode():
            for part in memory_plan.parts:
                slabs = score_slabs(
                    network,
                    image,
                    memory_plan.windows,
                    device=sums_device,
                    within=part.network_box,
                    around=image.margins,
                    mismatch=mismatch,
                )
                write_on_scan_grid(
                    image.stopwatch.timed(added_to(overlap, slabs, self.windows)),
                    inverse,
                    list(outputs.values()),
                    axis=axis,
                    box=part.box,
                    scores_of=scores_of,
                    classes=self.windows.classes,
                )
        arrays = {name: output.array for name, output in outputs.items()}
        return Scored(arrays, mismatch.share if mismatch else None, overlap)


def overlap_to_add(scoring: Scoring, plan: Plan) -> SoftOverlap | None:
    """Return sums that are still empty, if the overlap with the probabilities is wanted."""
    if not scoring.soft_overlap:
        return None
    return SoftOverlap(len(plan.labels), regions=bool(plan.regions))


def added_to(
    overlap: SoftOverlap | None, slabs: Iterator[Tensor], windows: WindowScorer
) -> Iterator[Tensor]:
    """Yield the slabs of averaged features or scores (F, ...), with their voxels added.

    That is on the network's grid, as in training: resampled scores are less sure at borders. It is
    done plane by plane, which takes little memory where there are many labels.
    """
    if overlap is None:
        yield from slabs
        return
    for slab in slabs:
        for x in range(slab.shape[1]):
            plane = slab[:, x : x + 1].cpu().contiguous()
            overlap.add(windows.scores(plane).numpy())
        yield slab


def memory_needs(scorer: ScanScorer, scoring: Scoring, image: TimedScan) -> MemoryNeeds:
    """Return the facts that decide how much memory a scan takes if no GPU holds any of it."""
    voxels = scoring.scan.inverse.source_voxels
    decisions = scoring.decisions.values()
    return MemoryNeeds(
        scan=scoring.scan,
        plan=scorer.plan,
        channels=scorer.windows.channels,
        classes=scorer.windows.classes,
        overlap=scorer.overlap,
        margins=image.margins,
        networks=scorer.networks,
        result_bytes=sum(
            decision.bytes for decision in decisions if not decision.is_mapped(voxels)
        ),
        window_label_bytes=scoring.decisions["labels"].bytes if scorer.count_mismatch else 0,
        box=scoring.box,
        after=scoring.after,
        mapped_bytes=sum(decision.bytes for decision in decisions if decision.is_mapped(voxels)),
    )


def finite_scores(windows: WindowScorer, where: Path, averaged: NDArray[np.float32]) -> Scores:
    """Return the scores (K, ...) of averaged features or scores (F, ...).

    Raises:
        InputError: scores that are NaN or infinite.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(averaged))
    scores: Scores = windows.scores(tensor).numpy()
    check_finite_scores(scores, where, windows.precision)
    return scores


def decided_labels(windows: WindowScorer, decide: Decide, averaged: Tensor) -> NDArray[Any]:
    """Return the labels (X, Y, Z) of averaged features or scores (F, X, Y, Z) on any device.

    Scores that are not finite are refused where the results are written, and not here.
    """
    return decide(windows.scores(averaged.cpu().contiguous()).numpy())
