"""One pass over a scan: windows to scores, and scores to what follows from them on the scan's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.inference.scoring.constant_windows import BlankOnce
from segkit.inference.scoring.decisions import Decision, check_finite_scores
from segkit.inference.scoring.memory_plan import Layout
from segkit.inference.scoring.timing import CountedNetwork, WatchedScan
from segkit.inference.scoring.to_scan_grid import Output, Scores, restore
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.progress import WindowProgress
from segkit.sliding_window.disagreement import TileMismatch
from segkit.sliding_window.scores import score_slabs
from segkit.sliding_window.windows import Network


def score_scan(
    scorer: WindowScorer,
    image: WatchedScan,
    layout: Layout,
    decisions: Sequence[Decision],
    *,
    sums: torch.device,
    where: Path,
    progress: WindowProgress | None = None,
    count_mismatch: bool = False,
) -> tuple[list[NDArray[Any]], float | None]:
    """Return (K, X, Y, Z) of each decision, and the share of voxels that single windows differ in, where counted.

    Args:
        scorer: what computes windows.
        image: the scan.
        layout: how it is tiled.
        decisions: what follows from scores; that of the labels comes first.
        sums: the device that holds sums over windows.
        where: the scan's name in messages.
        progress: called with windows done and windows in all.
        count_mismatch: see `segkit.sliding_window.disagreement`.

    Raises:
        InputError: scores that are not finite, or no room for a temporary file.
    """
    network: Network = BlankOnce(scorer)
    if progress:
        network = CountedNetwork(network, progress, layout.count(image.shape))
    way_back, axis = image.scan.way_back, layout.windows.axis
    outputs = [Output(each.decide, each.array(way_back, axis)) for each in decisions]
    scores_of = partial(_scores, scorer, where)
    labels = decisions[0].decide
    mismatch = TileMismatch(lambda averaged: labels(scores_of(averaged.cpu().numpy())))
    with torch.inference_mode():
        for part in layout.parts:
            slabs = score_slabs(
                network,
                image,
                layout.windows,
                device=sums,
                within=part.made_of,
                around=image.margins,
                mismatch=mismatch if count_mismatch else None,
            )
            restore(
                image.stopwatch.timed(slabs),
                way_back,
                outputs,
                axis=axis,
                part=part,
                scores_of=scores_of,
                classes=scorer.classes,
            )
    return [output.into for output in outputs], mismatch.share if count_mismatch else None


def _scores(scorer: WindowScorer, where: Path, averaged: NDArray[np.float32]) -> Scores:
    """Return the scores of what was averaged over windows, networks and mirrorings."""
    scores: Scores = scorer.scores(torch.from_numpy(np.ascontiguousarray(averaged))).numpy()
    check_finite_scores(scores, where, scorer.precision)
    return scores
