"""Ctrl-C and SIGTERM during a training."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import lightning as L

from segkit.errors import Interrupted
from segkit.training.callbacks.keeper import Keeper
from segkit.training.compute.slurm import REQUEUE
from segkit.training.outputs.checkpoint import has_checkpoint
from segkit.training.outputs.run_folder import CHECKPOINTS

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
            raise Interrupted(f"stopped at once; {_what_now(self.keeper.folder)}", number)
        log.warning("stopping after this step; once more to stop at once")
        self.keeper.asked = number


@contextmanager
def stoppable(run_dir: Path | None = None) -> Iterator[None]:
    """Outside of the steps a signal ends the run at once, with a word on what is kept in ``run_dir``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"stopped; {_what_now(run_dir)}", number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _what_now(run_dir: Path | None) -> str:
    if run_dir and has_checkpoint(run_dir / CHECKPOINTS):
        return "with --resume the last checkpoint goes on"
    return "nothing was saved, and the same command starts anew"


def ignore_signals(_worker: int) -> None:
    """For the processes that cut patches: a terminal signals the whole group, and only the main process decides."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
