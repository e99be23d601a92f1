"""What all trainings of a study have in common: precision, memory layout and number of steps, measured once and kept.

If every training timed them for itself, two arms could differ in more than what is compared. Kept in measured.json of
the study's folder, so that the same command goes on with the same numbers. No torch here.
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
STEPPING = 0.8
"""Share of trainer.max_minutes that goes into steps; the rest is left for start, validation and saving."""


@dataclass(frozen=True)
class Measured:
    """The fastest precision and memory layout of one training, and the seconds of one of its steps."""

    precision: str
    layout: str
    seconds: float
    """Of one optimizer step; 0 where no time was needed."""

    def steps(self, minutes: float) -> int:
        """Return how many steps stand for ``minutes``, the same for every arm.

        >>> Measured("float32", "contiguous", 0.5).steps(10.0)
        960
        """
        return max(1, int(STEPPING * 60 * minutes / self.seconds))

    def words(self, combination: Combination) -> tuple[str, ...]:
        """Return the overrides of a training of a sweep; a value that is swept stays."""
        trainer = combination.config.trainer
        fixed = {
            key: value
            for key, value in self._fixed(trainer).items()
            if key not in combination.values
        }
        dropped = {*fixed, *(["trainer.max_minutes"] if "trainer.max_steps" in fixed else [])}
        kept = [word for word in combination.words if not given_keys([word]) & dropped]
        return (*kept, *(f"{key}={value}" for key, value in fixed.items()))

    def applied_to(self, config: TrainConfig) -> TrainConfig:
        """Return the configuration of a training of a study."""
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
    """Say for a table what its arms have in common."""
    return f"{measured.precision}, {measured.layout} layout; measured once for all of them"


def is_open(trainer: TrainerConfig) -> bool:
    """Whether a training would decide precision, layout or number of steps by timing."""
    return "auto" in (trainer.precision, trainer.layout) or trainer.max_minutes is not None


def measured_once(folder: Path, measurements: Sequence[Callable[[], Measured]]) -> Measured | None:
    """Return what the study in ``folder`` has measured, or measure it and keep it there.

    The first of ``measurements`` counts; where it fails, because its training cannot start, the next one.

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
            remedy="Remove it to have them measured again; trainings that are finished keep theirs.",
        ) from error
