"""Checkpoints of a run: written atomically, the last two kept, read without unpickling objects.

A checkpoint also holds the state of torch's random generators. Patches do not depend on it, but
a network with dropout does.
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
"""Empty file beside the checkpoints while there may be a model but no checkpoint yet."""

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
"""Exceptions that reading a damaged or foreign file may raise."""

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
"""Entries that every checkpoint holds, with their types."""


class Checkpoints:
    """Writes the checkpoints of a run that is being trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.has_saved = False
        """True once this process has written last.ckpt."""

    def announce(self) -> None:
        """Mark that a model is about to be written before the first checkpoint.

        If the process is killed in between, `check_nothing_lost` knows that the model without
        a checkpoint is not a loss.
        """
        if not has_checkpoint(self.folder):
            write_text(self.folder / NONE_YET, "")

    def save(self, trainer: L.Trainer) -> None:
        """Write last.ckpt and keep the one before as previous.ckpt.

        Rank 0 writes, and the other ranks wait for it.
        """
        last = self.folder / LAST
        if not trainer.is_global_zero:
            trainer.save_checkpoint(last)
            return
        with atomic_path(last) as temporary:
            trainer.save_checkpoint(temporary)
            if last.is_file():
                # An unreadable checkpoint must not replace the last readable one.
                is_readable = self.has_saved or _problem(last) is None
                os.replace(last, self.folder / (PREVIOUS if is_readable else UNREADABLE))
        (self.folder / NONE_YET).unlink(missing_ok=True)
        self.has_saved = True


def has_checkpoint(folder: Path) -> bool:
    """Return whether ``folder`` holds a checkpoint, readable or not."""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return path and content of the newest readable checkpoint, or None.

    Unreadable files are left where they are, with a warning.
    """
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            return path, _read(path)
        except _DAMAGE as error:
            log.warning("%s cannot be read and is not used: %s", path, _first_line(error))
    return None


def check_nothing_lost(run_dir: Path) -> None:
    """Refuse to train from scratch over a model, or over checkpoints that cannot be read.

    A run that was killed between its first model and its first checkpoint may start from scratch:
    it arrives at the same model again.

    Raises:
        InputError: the run has a model or checkpoints, but none to continue from.
    """
    folder, bundle = run_dir / CHECKPOINTS, run_dir / BUNDLE
    has_model = (bundle / CARD).is_file()
    has_any = has_checkpoint(folder)
    was_killed_early = (folder / NONE_YET).exists()
    if not has_any and (not has_model or was_killed_early):
        return
    remedy = "Train from scratch with another run_dir, or put the checkpoint back."
    if has_model:
        remedy = (
            f"The model in {bundle} is complete and stays: start from it with weights={run_dir} "
            "and another run_dir, or put the checkpoint back."
        )
    raise InputError(
        folder,
        expected="a checkpoint from which this training can continue",
        found="none that can be read" if has_any else "none",
        remedy=remedy,
    )


class RestoreErrors(L.Callback):
    """Names the checkpoint in errors that Lightning raises while it restores it."""

    def __init__(self) -> None:
        self.has_restored = False

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        self.has_restored = True

    @contextmanager
    def naming(self, path: Path | None) -> Iterator[None]:
        """Name ``path`` in an error of the block, if the checkpoint was not yet restored.

        Raises:
            InputError: its tensors or settings do not fit this training.
        """
        try:
            yield
        except _DAMAGE as error:
            if path is None or self.has_restored or _is_out_of_memory(error):
                raise
            raise InputError(
                path,
                expected="a checkpoint of this training",
                found=f"one that does not fit it ({_first_line(error)})",
                remedy="Remove the file; "
                f"--resume then continues from {PREVIOUS}, if there is one.",
            ) from error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


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
    # The index of a zip comes last. torch would read another file as its old format and could fail
    # anywhere in it.
    if not zipfile.is_zipfile(path):
        raise UnpicklingError("it was cut short")
    with zipfile.ZipFile(path) as archive:
        # torch does not compress; a compressed file could take any amount of memory.
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UnpicklingError("it unpacks to more than its size")
        if damaged := archive.testzip():  # torch does not compare checksums
            raise UnpicklingError(f"its part {damaged} has changed")


def _check(content: Any) -> None:
    """Raise ValueError unless this is a checkpoint of segkit."""
    if not isinstance(content, Mapping):
        raise ValueError("it is not a checkpoint of a training")
    for name, kind in KINDS.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(
                f"it is not a checkpoint of segkit: {name} is missing or of another type"
            )
    mode, schedule = ComputeMode(**content["mode"]), Schedule(**content["schedule"])
    if mode.precision not in AUTOCAST or mode.layout not in MEMORY_FORMATS:
        raise ValueError(f"unknown precision {mode.precision} or memory format {mode.layout}")
    if not (
        math.isfinite(content["elapsed"])
        and mode.seconds >= 0
        and 0 <= schedule.step <= schedule.total
    ):
        raise ValueError("its numbers of steps or seconds are not possible")


def random_state() -> dict[str, list[Tensor]]:
    """Return the states of the random generators of the CPU and of every GPU, for a checkpoint."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": [torch.get_rng_state()], "cuda": gpus}


def restore_random_state(state: dict[str, list[Tensor]]) -> None:
    """Continue the random numbers from where `random_state` was called.

    GPU generators keep their present state if the number of GPUs has changed.
    """
    torch.set_rng_state(state["cpu"][0])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
