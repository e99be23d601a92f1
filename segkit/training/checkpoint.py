"""Checkpoints of a run: written atomically, the last two kept, read without unpickling objects."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import lightning as L
import torch

from segkit.files import atomic_path

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


def save_checkpoint(trainer: L.Trainer, folder: Path) -> None:
    """Write folder/last.ckpt; the one before stays as previous.ckpt."""
    with atomic_path(folder / LAST) as temporary:
        trainer.save_checkpoint(temporary)
        if (folder / LAST).is_file():
            os.replace(folder / LAST, folder / PREVIOUS)


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and content of the newest checkpoint that can be read, or None."""
    for path in (folder / LAST, folder / PREVIOUS):
        if path.is_file():
            try:
                return path, torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                log.warning("%s cannot be read (%s); the checkpoint before it is used", path, error)
    return None
