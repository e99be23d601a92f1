"""Words of a study's command: settings that it continues with, and overrides that it refuses.

This module does not import torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from segkit.config.compose import load
from segkit.config.overrides import given_keys, read_overrides
from segkit.config.schema import TrainConfig
from segkit.config.study_words import parted, split_words
from segkit.errors import UsageError
from segkit.training.outputs.run_folder import folder_kind, read_study, run_state


class StudySettings(Protocol):
    """Own settings of a study: a frozen dataclass of fields made by `segkit.config.study_words`."""

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that all cells share, in JSON types: part of the name of its folder."""

    def check(self) -> None:
        """Raise a UsageError if the settings do not fit together."""


S = TypeVar("S", bound=StudySettings)


@dataclass(frozen=True)
class StudyKind(Generic[S]):
    """A kind of study whose cells are trainings on the same cases, with Dice on held-out ones."""

    name: str
    """Name of the study, as typed after ``segkit study``."""
    settings: type[S]
    """Class of its own settings."""
    set_by_study: Mapping[str, str]
    """Overrides that the study sets itself, and what to give instead."""
    jobs: bool = False
    """True if its trainings can be jobs of a SLURM cluster."""
    validates: bool = True
    """False if its trainings have no validations unless they are asked for."""

    def trained(self, config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
        """Return the configuration of the trainings, as far as their validations are concerned.

        Args:
            config: configuration of the overrides, or of the study that they continue.
            overrides: KEY=VALUE words of this call.
        """
        return config if self.validates else without_validations(config, overrides)

    def read_words(self, words: Sequence[str]) -> tuple[list[str], S, TrainConfig]:
        """Return overrides of the trainings, settings of the study and configuration, all checked.

        Args:
            words: KEY=VALUE words of both kinds.

        Raises:
            UsageError: an override or a setting that makes no sense, no cases to measure on, or
                trainings in several processes.
            InputError: a file of ``config=`` or of the study that cannot be read.
        """
        words = with_stored_settings(words, self.name, self.settings)
        overrides, settings = split_words(words, self.settings)
        config = load(overrides)
        for key, reason in self.set_by_study.items():
            leave_out([key], overrides, reason)
        if config.fold == "all":
            raise UsageError("fold=all leaves no case to measure Dice on: give a number")
        check_here(config, self.name, jobs=self.jobs)
        settings.check()
        return overrides, settings, config


def with_stored_settings(
    words: Sequence[str], kind: str, settings: Any, prefix: str = "study"
) -> list[str]:
    """Return the words, with the settings of the study that ``run_dir=`` continues.

    Settings that the words contain are not replaced.

    Args:
        words: KEY=VALUE words, settings of the study among them.
        kind: name of the study.
        settings: class of its settings.
        prefix: first part of the keys of its settings.

    Raises:
        InputError: a damaged study.json.
    """
    overrides, _ = parted(words, settings, prefix)
    run_dir = read_overrides(overrides).texts.get("run_dir")
    if not run_dir or folder_kind(Path(run_dir)) != kind:
        return list(words)
    given = {word.partition("=")[0] for word in words}
    stored = read_study(Path(run_dir))["settings"]
    return [*words, *(word for word in stored if word.partition("=")[0] not in given)]


def without_validations(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration with no validations, unless they were asked for.

    A call that continues a study need not repeat the words with which it began.

    Args:
        config: configuration of the overrides, or of the study that they continue.
        overrides: KEY=VALUE words of this call.
    """
    continues = bool(config.run_dir) and run_state(Path(str(config.run_dir))) != "new"
    if "trainer.validations" in given_keys(overrides) or continues:
        return config
    trainer = dataclasses.replace(config.trainer, validations=0)
    return dataclasses.replace(config, trainer=trainer)


def check_here(config: TrainConfig, kind: str, *, jobs: bool = False) -> None:
    """Check that the trainings of a study are to run in this process.

    Raises:
        UsageError: another choice of hardware.
    """
    if config.compute.name in (("ddp",) if jobs else ("ddp", "slurm")):
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
