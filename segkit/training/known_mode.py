"""The fastest mode that was found before for the same network on the same machine: it need not be timed again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
from pathlib import Path

import torch

from segkit.config import TrainerConfig
from segkit.files import write_text
from segkit.plans import Plan
from segkit.training.calibrate import AUTOCAST, LAYOUTS, Mode

FORMAT = 1
"""To be raised by whoever changes what is timed."""


def mode_file(store: Path, plan: Plan, trainer: TrainerConfig, device: torch.device) -> Path:
    """Where ``store`` keeps the mode for this network, these wishes and this machine."""
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    machine = [platform.node(), os.cpu_count(), device.type, chip, torch.get_num_threads(), str(torch.__version__)]
    asked = [trainer.precision, trainer.layout, trainer.optimizer, trainer.loss]
    digest = hashlib.sha256(json.dumps([FORMAT, plan.hash(), asked, machine]).encode())
    return store / f"mode-{digest.hexdigest()[:32]}.json"


def read_mode(path: Path) -> Mode | None:
    """None where there is none that can be read."""
    try:
        mode = Mode(**json.loads(path.read_text(encoding="utf-8")))
        known = mode.precision in AUTOCAST and mode.layout in LAYOUTS and mode.seconds > 0
    except (OSError, ValueError, TypeError):
        return None
    return mode if known else None


def write_mode(path: Path, mode: Mode) -> None:
    """Keep a mode that has been timed."""
    if mode.seconds > 0:
        write_text(path, json.dumps(dataclasses.asdict(mode)))
