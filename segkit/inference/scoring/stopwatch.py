"""Stopwatch: seconds of each stage of a prediction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


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
