"""Checkpoints of a run: written atomically, the last two kept, read without unpickling objects."""

from __future__ import annotations

import logging
import os
import zipfile
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
        # A checkpoint is a zip whose index comes last: a file that was cut short is none.
        if zipfile.is_zipfile(path):
            return path, torch.load(path, map_location="cpu", weights_only=True)
        if path.is_file():
            log.warning("%s cannot be read; the checkpoint before it is used", path)
    return None
