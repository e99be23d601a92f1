"""Checkpoints of a run: written atomically, the last two kept, read without unpickling objects.

They hold torch's random state as well: patches do not depend on it, but a network with dropout does.
"""

from __future__ import annotations

import logging
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from torch import Tensor

from segkit.errors import InputError
from segkit.files.atomic import atomic_path, write_text
from segkit.files.names import CARD
from segkit.networks.precision import AUTOCAST, MEMORY_FORMATS, ComputeMode
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
UNREADABLE = "unreadable.ckpt"
NONE_YET = "none_yet"
"""An empty file beside them from just before the first model is written until the first checkpoint is complete."""

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    zipfile.BadZipFile,
)
"""What reading a damaged or foreign file may raise."""


KINDS: dict[str, tuple[type, ...]] = {
    "plan": (str,),
    "elapsed": (int, float),
    "mode": (dict,),
    "schedule": (dict,),
    "state_dict": (dict,),
    "optimizer_states": (list,),
    "loops": (dict,),
    "callbacks": (dict,),
}
"""What a checkpoint holds at least."""


class Checkpoints:
    """The checkpoints of a run that is being trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = False
        """Whether last.ckpt was written by this process."""

    def announce(self) -> None:
        """Note that the model that is written next may stand without a checkpoint, if the process is killed."""
        if not has_checkpoint(self.folder):
            write_text(self.folder / NONE_YET, "")

    def save(self, trainer: L.Trainer) -> None:
        """Write last.ckpt; the one before stays as previous.ckpt. Rank 0 writes, and the others wait for it."""
        last = self.folder / LAST
        if not trainer.is_global_zero:
            trainer.save_checkpoint(last)
            return
        with atomic_path(last) as temporary:
            trainer.save_checkpoint(temporary)
            if last.is_file():
                # One that cannot be read must not take the place of the last good one.
                sound = self.own or _problem(last) is None
                os.replace(last, self.folder / (PREVIOUS if sound else UNREADABLE))
        (self.folder / NONE_YET).unlink(missing_ok=True)
        self.own = True


def has_checkpoint(folder: Path) -> bool:
    """Whether there is one, readable or not; the folder is made before the first one is complete."""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and content of the newest checkpoint that can be read, or None; files that cannot be read stay."""
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            return path, _read(path)
        except _DAMAGE as error:
            log.warning("%s cannot be read and is left aside: %s", path, _first_line(error))
    return None


def check_nothing_lost(run_dir: Path) -> None:
    """Refuse to start anew where a run has a model, or checkpoints, but none that it could go on from.

    A run that was killed between its first model and its first checkpoint may start anew: it comes to that model again.

    Raises:
        InputError: says how to use the model that is there.
    """
    folder, bundle = run_dir / CHECKPOINTS, run_dir / BUNDLE
    has_model = (bundle / CARD).is_file()
    if not has_checkpoint(folder) and (not has_model or (folder / NONE_YET).exists()):
        return
    model = f"The model in {bundle} is complete and stays: " if has_model else ""
    start = f"start from it with weights={run_dir} and" if has_model else "Train anew with"
    raise InputError(
        folder,
        expected="a checkpoint from which this training can go on",
        found="none that can be read" if has_checkpoint(folder) else "none",
        remedy=f"{model}{start} another run_dir, or put the checkpoint back.",
    )


class Restoring(L.Callback):
    """Knows whether Lightning has restored a checkpoint and begun to train."""

    def __init__(self) -> None:
        self.done = False

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        self.done = True

    @contextmanager
    def of(self, path: Path | None) -> Iterator[None]:
        """Name the checkpoint in an error that comes from restoring it.

        Raises:
            InputError: its tensors or settings do not fit this training.
        """
        try:
            yield
        except _DAMAGE as error:
            short_of_memory = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(
                error
            )
            if path is None or self.done or short_of_memory:
                raise
            raise InputError(
                path,
                expected="a checkpoint of this training",
                found=f"one that does not fit it ({_first_line(error)})",
                remedy=f"Remove the file; --resume then goes on from {PREVIOUS}, if that is another one.",
            ) from error


def _problem(path: Path) -> str | None:
    try:
        _read(path)
    except _DAMAGE as error:
        return _first_line(error)
    return None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def _read(path: Path) -> dict[str, Any]:
    _check_zip(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    _check(content)
    return dict(content)


def _check_zip(path: Path) -> None:
    # The index of a zip comes last. What is none torch would take for the format of old, and stumble anywhere in it.
    if not zipfile.is_zipfile(path):
        raise UnpicklingError("it was cut short")
    with zipfile.ZipFile(path) as archive:
        # torch packs nothing; a file that is packed could take any amount of memory.
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UnpicklingError("it unpacks to more than its size")
        if changed := archive.testzip():  # torch does not compare checksums
            raise UnpicklingError(f"its part {changed} has changed")


def _check(content: Any) -> None:
    """Raise ValueError unless this is a checkpoint of segkit."""
    if not isinstance(content, Mapping):
        raise ValueError("it is no checkpoint of a training")
    for name, kind in KINDS.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"it is no checkpoint of segkit: {name} is missing or of another kind")
    mode, schedule = ComputeMode(**content["mode"]), Schedule(**content["schedule"])
    if mode.precision not in AUTOCAST or mode.layout not in MEMORY_FORMATS:
        raise ValueError(f"its precision {mode.precision} or layout {mode.layout} is unknown")
    if not (
        math.isfinite(content["elapsed"])
        and mode.seconds >= 0
        and 0 <= schedule.step <= schedule.total
    ):
        raise ValueError("its numbers of steps or seconds make no sense")


def random_state() -> dict[str, list[Tensor]]:
    """The states of the generators of the CPU and of every GPU, to be kept in a checkpoint."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": [torch.get_rng_state()], "cuda": gpus}


def restore_random_state(state: dict[str, list[Tensor]]) -> None:
    """Go on with the numbers that would have come after `random_state`; another number of GPUs keeps its own."""
    torch.set_rng_state(state["cpu"][0])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
