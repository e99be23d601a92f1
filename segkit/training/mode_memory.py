"""Which precision and layout were chosen before for the same training on the same machine.

Timing is noisy: where two modes are about equally fast, two equal runs may choose differently, and then differ in their
weights. So the first choice stands for the runs that follow, which also start sooner.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from pathlib import Path
from typing import Any

import torch

import segkit
from segkit.config import TrainerConfig
from segkit.errors import InputError
from segkit.files import write_text
from segkit.plans import Plan
from segkit.training.calibrate import Mode
from segkit.training.run_folder import RUNS

log = logging.getLogger(__name__)

MODES = RUNS / "modes.json"
"""Precision, layout and seconds per step by `mode_key`."""


def mode_key(trainer: TrainerConfig, plan: Plan, device: torch.device) -> str:
    """A hash over what decides how fast each mode is: the step, the machine and its software."""
    step = [plan.hash(), trainer.loss, trainer.optimizer, trainer.precision, trainer.layout]
    text = json.dumps([step, _machine(device), torch.__version__, segkit.__version__])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def recall_mode(key: str) -> Mode | None:
    """The mode that was chosen before, if it is known."""
    try:
        mode = Mode(**_read()[key])
    except (KeyError, TypeError):
        return None
    log.info("%s %s: chosen in an earlier run, says %s", mode.precision, mode.layout, MODES)
    return mode


def remember_mode(key: str, mode: Mode) -> None:
    """Write the choice down; a folder that cannot be written is only warned about."""
    chosen = {"precision": mode.precision, "layout": mode.layout, "seconds": mode.seconds}
    try:
        write_text(MODES, json.dumps({**_read(), key: chosen}, indent=2) + "\n")
    except InputError as error:
        log.warning("the choice of precision and layout is not remembered: %s", error)


def _read() -> dict[str, Any]:
    try:
        content = json.loads(MODES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _machine(device: torch.device) -> list[Any]:
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [_processor(), os.cpu_count(), torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()]


def _processor() -> str:
    """Its model name on Linux, where Python knows the architecture only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())
