"""Expand overrides with several values (Hydra's sweep grammar) into those of each training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.config.compose import load, parse_override
from segkit.config.overrides import CONFIG, NAMES, PATHS, read_overrides
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError

AS_TYPED = (*PATHS, *NAMES, CONFIG)
"""Keys whose commas belong to the value."""
_DISCRETE = "write the values as a,b,c or range(start,stop,step)"


@dataclass(frozen=True)
class Combination:
    """One training of a sweep."""

    overrides: tuple[str, ...]
    """All overrides of the training, as KEY=VALUE words."""
    values: dict[str, str]
    """The value of each swept key, as text."""
    config: TrainConfig
    """The configuration that the overrides compose."""

    @property
    def described(self) -> str:
        """The swept overrides in one line."""
        return " ".join(f"{key}={value}" for key, value in self.values.items()) or "as given"


@dataclass(frozen=True)
class _Choice:
    """One of the values of an override."""

    word: str
    swept: dict[str, str]
    """Its key and value; empty for an override with one value."""


def combinations(overrides: Sequence[str]) -> list[Combination]:
    """Return every combination of the values in KEY=VALUE words, the last key changing fastest.

    Paths, and the names of channels and labels, are taken as typed, with the commas in them.

    >>> sweep = combinations(["seed=0,1", "network.norm=group,instance", "fold=0"])
    >>> [combination.described for combination in sweep]  # doctest: +NORMALIZE_WHITESPACE
    ['seed=0 network.norm=group', 'seed=0 network.norm=instance',
     'seed=1 network.norm=group', 'seed=1 network.norm=instance']

    Raises:
        UsageError: as `segkit.config.compose.load`, for any combination; or a sweep that names no
            value, a value twice, or a continuous range.
    """
    read_overrides(overrides)  # refuses a key that is given twice
    choices = [_choices(word) for word in overrides]
    is_sweep = any(len(values) > 1 for values in choices)
    if is_sweep and any(word.startswith("run_dir=") for word in overrides):
        raise UsageError(
            "run_dir names the folder of one run: leave it out, every run of a sweep gets its own"
        )
    return [_combination(chosen) for chosen in itertools.product(*choices)]


def _combination(chosen: Sequence[_Choice]) -> Combination:
    words = tuple(choice.word for choice in chosen)
    values = {key: value for choice in chosen for key, value in choice.swept.items()}
    return Combination(words, values, load(words))


def _choices(word: str) -> list[_Choice]:
    """Return the overrides, with one value each, into which a word expands."""
    if word.partition("=")[0] in AS_TYPED:
        return [_Choice(word, {})]
    override = parse_override(word)
    if not override.is_sweep_override():
        return [_Choice(word, {})]
    key = override.key_or_group
    if not override.is_discrete_sweep() or "glob(" in word:
        raise UsageError(f"cannot sweep over {word!r}: {_DISCRETE}")
    values = list(override.sweep_string_iterator())
    if not values:
        raise UsageError(f"{word!r} names no value: {_DISCRETE}")
    if len(set(values)) < len(values):
        raise UsageError(f"{word!r} names a value twice: {_DISCRETE}")
    return [_Choice(f"{key}={value}", {key: value}) for value in values]
