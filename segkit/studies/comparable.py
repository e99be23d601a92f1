"""Settings that all trainings of a study share: precision, memory format and number of steps.

If each training timed them for itself, two arms of a study could differ in more than the setting
under comparison. They are measured once and kept in measured.json of the study's folder, so that
the same command continues with the same numbers. This module does not import torch.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.config.keys import put
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.config.sweep import Combination
from segkit.errors import InputError, SegkitError
from segkit.files.atomic import write_text

log = logging.getLogger(__name__)

MEASURED = "measured.json"
STEP_SHARE = 0.8
"""Share of trainer.max_minutes for steps; the rest is for start, validation and saving."""


@dataclass(frozen=True)
class Measured:
    """Fastest precision and memory format of one training, and the duration of one of its steps."""

    precision: str
    layout: str
    seconds: float
    """Seconds of one optimizer step; 0 if it did not have to be timed."""

    def steps(self, minutes: float) -> int:
        """Return the number of steps that replaces ``minutes``, the same for every arm.

        >>> Measured("float32", "contiguous", 0.5).steps(10.0)
        960
        """
        return max(1, int(STEP_SHARE * 60 * minutes / self.seconds))

    def overrides_for(self, combination: Combination) -> tuple[str, ...]:
        """Return the overrides of one training of a sweep; a value that is swept stays as it is."""
        fixed = {
            key: value
            for key, value in self._fixed(combination.config.trainer).items()
            if key not in combination.values
        }
        replaced = set(fixed)
        if "trainer.max_steps" in fixed:
            replaced.add("trainer.max_minutes")
        kept = [word for word in combination.overrides if not given_keys([word]) & replaced]
        return (*kept, *(f"{key}={value}" for key, value in fixed.items()))

    def applied_to(self, config: TrainConfig) -> TrainConfig:
        """Return the configuration of one training of a study; ``config`` is not changed."""
        trainer = dataclasses.replace(config.trainer)
        fixed = self._fixed(trainer)
        for key, value in fixed.items():
            put(trainer, key.removeprefix("trainer."), value)
        if "trainer.max_steps" in fixed:
            trainer.max_minutes = None
        return dataclasses.replace(config, trainer=trainer)

    def _fixed(self, trainer: TrainerConfig) -> dict[str, str | int]:
        fixed: dict[str, str | int] = {}
        if trainer.precision == "auto":
            fixed["trainer.precision"] = self.precision
        if trainer.layout == "auto":
            fixed["trainer.layout"] = self.layout
        if trainer.max_minutes is not None:
            fixed["trainer.max_steps"] = self.steps(trainer.max_minutes)
        return fixed


def described(measured: Measured) -> str:
    """Return precision and memory format of all arms of a study in words, for the log."""
    return f"{measured.precision}, {measured.layout} memory format; measured once for all of them"


def needs_timing(trainer: TrainerConfig) -> bool:
    """Return whether a training would time steps to choose precision, memory format or length."""
    return "auto" in (trainer.precision, trainer.layout) or trainer.max_minutes is not None


def measured_once(folder: Path, measurements: Sequence[Callable[[], Measured]]) -> Measured | None:
    """Return what the study in ``folder`` has measured, or measure it now and keep it there.

    Args:
        folder: the study's folder.
        measurements: functions that measure. The first one counts; if it fails because its training
            cannot start, the next one is tried, and if all fail, the result is None.

    Raises:
        InputError: a measured.json that cannot be read.
    """
    path = folder / MEASURED
    if path.is_file():
        return _read(path)
    for measurement in measurements:
        try:
            measured = measurement()
        except SegkitError as error:
            log.info("not measured: %s", error)
            continue
        write_text(path, json.dumps(dataclasses.asdict(measured), indent=2) + "\n")
        return measured
    return None


def _read(path: Path) -> Measured:
    try:
        return Measured(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            path,
            expected="precision, layout and seconds as this study has measured them",
            found=f"{type(error).__name__}: {error}",
            remedy="Remove it to measure again; trainings that are finished stay as they are.",
        ) from error
