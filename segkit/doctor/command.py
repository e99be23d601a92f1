"""The command for a prediction that suits this machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.doctor.facts import Facts
from segkit.doctor.models import FoundModel
from segkit.doctor.problem import Problem


def device_that_works(problems: Sequence[Problem]) -> str:
    """Return cpu where a prediction would choose a GPU that does not compute, and otherwise auto.

    A prediction takes the CPU by itself where PyTorch sees no GPU.
    """
    fails = any(problem.name in ("gpu_fails", "gpu_memory") for problem in problems)
    return "cpu" if fails else "auto"


def suggested_command(facts: Facts, models: Sequence[FoundModel], device: str = "auto") -> str:
    """Return a command with only the flags that help on this machine.

    Args:
        facts: the machine.
        models: models that were examined.
        device: device that can be used.
    """
    words = ["segkit", "predict", "SCAN"]
    if not facts.folders["current"].writable:
        words += ["-o", "OUT"]
    sound = [model for model in models if model.problem is None]
    if not any(model.is_default for model in sound):
        words += ["-m", sound[0].name if sound and sound[0].is_named else "MODEL"]
    if device != "auto":
        words += ["--device", device]
    if facts.processor.usable < facts.threads:
        words += ["--threads", str(facts.processor.usable)]
    return shlex.join(words)
