"""The command for a prediction that suits this machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.doctor.facts import Facts
from segkit.doctor.models import FoundModel


def suggested_command(facts: Facts, models: Sequence[FoundModel]) -> str:
    """Return a command with only the flags that help on this machine."""
    words = ["segkit", "predict", "SCAN"]
    if not facts.folders["current"].writable:
        words += ["-o", "OUT"]
    default = next((model for model in models if model.is_default), None)
    if default is None:
        words += ["-m", models[0].name if models and models[0].is_named else "MODEL"]
    if facts.processor.usable < facts.processor.allowed:
        words += ["--threads", str(facts.processor.usable)]
    return shlex.join(words)
