"""Checkpoints of a run: written atomically, the last two kept, read without unpickling objects."""

from __future__ import annotations

import logging
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch

from segkit.files import atomic_path

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
UNREADABLE = "unreadable.ckpt"


def save_checkpoint(trainer: L.Trainer, folder: Path) -> None:
    """Write folder/last.ckpt; the one before stays as previous.ckpt. Rank 0 writes, and the others wait for it."""
    if not trainer.is_global_zero:
        trainer.save_checkpoint(folder / LAST)
        return
    with atomic_path(folder / LAST) as temporary:
        trainer.save_checkpoint(temporary)
        if (folder / LAST).is_file():
            os.replace(folder / LAST, folder / PREVIOUS)


def has_checkpoint(folder: Path) -> bool:
    """Whether there is one, readable or not; the folder is made before the first one is complete."""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and content of the newest checkpoint that can be read, or None.

    One that cannot be read is renamed: the next `save_checkpoint` must not put it in the place of the last good one.
    """
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            return path, _read(path)
        except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
            log.warning("%s cannot be read and is left aside: %s", path, str(error).partition("\n")[0])
            with suppress(OSError):
                os.replace(path, folder / UNREADABLE)
    return None


def _read(path: Path) -> dict[str, Any]:
    # The index of a zip comes last. What is none torch would take for the format of old, and stumble anywhere in it.
    if not zipfile.is_zipfile(path):
        raise UnpicklingError("it was cut short")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
