"""Ctrl-C and SIGTERM during a training."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import lightning as L

from segkit.errors import Interrupted
from segkit.training.compute.slurm import REQUEUE
from segkit.training.outputs.checkpoint import has_checkpoint
from segkit.training.outputs.run_folder import CHECKPOINTS

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """Signals that ask a training to stop after the current step."""

    received: int = 0
    """Number of the signal that this process received, or 0."""
    agreed: int = 0
    """Highest number received by any rank, or 0; all ranks learn it at the end of the same step."""


class StopSignals(L.Callback):
    """Requests a stop after the current step on the first signal, and stops on the second."""

    def __init__(self, stop: StopRequest, folder: Path, *, requeue: bool) -> None:
        """Note signals in ``stop``.

        Args:
            stop: where the signal is noted.
            folder: the run folder, for the message.
            requeue: whether SLURM may ask this job to go back to the queue.
        """
        self.stop, self.folder = stop, folder
        self.signals = [*SIGNALS]
        if requeue and REQUEUE:
            self.signals.append(REQUEUE)

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        # Installed only now: Lightning's own handler of SIGTERM, set just before, ends the run
        # between the batches of an accumulated step. After the run Lightning restores the handlers
        # that were there before both.
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.stop.received:
            raise Interrupted(f"stopped immediately; {_how_to_continue(self.folder)}", number)
        log.warning("stopping after this step; a second Ctrl-C stops immediately")
        self.stop.received = number


@contextmanager
def stoppable(run_dir: Path | None = None) -> Iterator[None]:
    """Let a signal end the block immediately, with a message on what ``run_dir`` keeps.

    Raises:
        Interrupted: when the signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"stopped; {_how_to_continue(run_dir)}", number)

    handlers_before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers_before.items():
            signal.signal(number, handler)


def _how_to_continue(run_dir: Path | None) -> str:
    if run_dir and has_checkpoint(run_dir / CHECKPOINTS):
        return "--resume continues from the last checkpoint"
    return "nothing was saved, and the same command starts from scratch"


def ignore_signals(_worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM in a process that cuts patches.

    A terminal sends Ctrl-C to the whole group of processes; only the main process acts on it.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
