"""How far a prediction is and how long it still takes, on standard error. No file names: they may name patients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from segkit.clock import duration
from segkit.status_line import StatusLine

if TYPE_CHECKING:
    from segkit.inference.watched import Progress


class ScanProgress(StatusLine):
    """Which scan of how many, and the time left for all of them."""

    def __init__(self, scans: int) -> None:
        super().__init__()
        self.scans = scans
        self.started = time.monotonic()

    def of_scan(self, index: int) -> Progress:
        """What to call with windows done and windows in all of the scan with this index."""
        return lambda done, total: self._show(index, done / total)

    def _show(self, index: int, share: float) -> None:
        if self.due():
            whole = (index + share) / self.scans
            left = duration((time.monotonic() - self.started) / whole * (1 - whole))
            self.write(f"scan {index + 1} of {self.scans}, {whole:.0%} done, about {left} left")
