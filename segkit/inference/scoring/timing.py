"""What a sliding window is given while someone watches: the scan with a stopwatch, the network with a counter."""

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
    """Seconds of the parts of a prediction; what a part spends inside another one counts for the inner one."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._spent = {"prepare": 0.0, "network": 0.0}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started, inner = time.perf_counter(), sum(self._spent.values())
        try:
            yield
        finally:
            inside = sum(self._spent.values()) - inner
            self._spent[part] = self._spent.get(part, 0.0) + time.perf_counter() - started - inside

    def timed(self, slabs: Iterator[Tensor]) -> Iterator[NDArray[np.float32]]:
        """The same slabs, on the CPU; what the network needs for them is counted."""
        while True:
            with self("network"):
                slab = next(slabs, None)
                found = None if slab is None else slab.cpu().numpy()
            if found is None:
                return
            yield found

    def seconds(self) -> dict[str, float]:
        """By part; ``restore`` is what no other part took."""
        rest = time.perf_counter() - self._started - sum(self._spent.values())
        return {**self._spent, "restore": rest}


class WatchedScan:
    """A scan in tensors, for a sliding window."""

    def __init__(
        self, scan: ScanParts, stopwatch: Stopwatch, window: Shape, overlap: float
    ) -> None:
        self.scan, self.stopwatch = scan, stopwatch
        self.margins = margins(self, window, overlap)

    @property
    def shape(self) -> Shape:
        return self.scan.shape

    def part(self, box: Box) -> Tensor:
        with self.stopwatch("prepare"):
            return torch.from_numpy(self.scan.part(box))


class CountedNetwork:
    """A network that reports, after every batch of windows, how many are done of all."""

    def __init__(self, network: Network, progress: WindowProgress, total: int) -> None:
        self.network, self.progress, self.total, self.done = network, progress, total, 0

    def __call__(self, windows: Tensor) -> Tensor | list[Tensor]:
        scores = self.network(windows)
        self.done += windows.shape[0]
        self.progress(self.done, self.total)
        return scores
