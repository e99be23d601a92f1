"""Ctrl-C and SIGTERM during a training."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

import lightning as L

from segkit.errors import Interrupted
from segkit.training.keeper import Keeper
from segkit.training.slurm import REQUEUE

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals(L.Callback):
    """The first signal ends the run after the current step, with a checkpoint and a model; a second one at once."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.signals = (*SIGNALS, *([REQUEUE] if keeper.ranks.slurm and REQUEUE else ()))

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        # Only now, because Lightning's own handler of SIGTERM, set just before, ends the run between the batches of
        # an accumulated step. When the run is over Lightning puts back what was there before both.
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                signal.signal(number, self._stop)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.keeper.asked:
            raise Interrupted("stopped at once; with --resume the last checkpoint goes on", number)
        log.warning("stopping after this step; once more to stop at once")
        self.keeper.asked = number


def ignore_signals(_worker: int) -> None:
    """For the processes that cut patches: a terminal signals the whole group, and only the main process decides."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
