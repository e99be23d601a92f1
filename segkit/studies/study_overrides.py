"""Overrides that a study refuses, because it sets them itself; without torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError


def check_here(config: TrainConfig, kind: str) -> None:
    """Check that the trainings of a study are to run in this process.

    Raises:
        UsageError: another choice of hardware.
    """
    if config.compute.name in ("ddp", "slurm"):
        raise UsageError(
            f"compute={config.compute.name}: a {kind} study trains in this process; "
            "give compute=cpu or compute=gpu"
        )


def leave_out(keys: Collection[str], overrides: Sequence[str], reason: str) -> None:
    """Refuse overrides of settings that a study makes itself.

    Args:
        keys: full dotted keys.
        overrides: KEY=VALUE words.
        reason: who sets them, as the message says it.

    Raises:
        UsageError: such an override.
    """
    given = sorted(given_keys(overrides) & set(keys))
    if given:
        raise UsageError(f"{', '.join(given)}: {reason}; leave it out")
