"""Stopwatch of a prediction, and wrappers that measure what a sliding window reads and computes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.preprocessing.chain import ScanParts
from segkit.progress import WindowProgress
from segkit.sliding_window.windows import Network, margins
from segkit.volume import Box, Shape


class Stopwatch:
    """Seconds of each stage of one prediction.

    Where one stage runs inside another, its time counts for the inner one only.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds = {"prepare": 0.0, "network": 0.0}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the ``with`` block to the stage ``name``."""
        start, counted_before = time.perf_counter(), sum(self._seconds.values())
        try:
            yield
        finally:
            inner = sum(self._seconds.values()) - counted_before
            elapsed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed - inner

    def timed(self, slabs: Iterator[Tensor]) -> Iterator[NDArray[np.float32]]:
        """Yield the same slabs on the CPU, and count the time to compute them as ``network``."""
        while True:
            with self.stage("network"):
                slab = next(slabs, None)
                array = None if slab is None else slab.cpu().numpy()
            if array is None:
                return
            yield array

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage; ``restore`` is the time that no other stage took."""
        rest = time.perf_counter() - self._start - sum(self._seconds.values())
        return {**self._seconds, "restore": rest}


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
