"""From words that name several values, in Hydra's sweep grammar, to the words of every single training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.config.compose import load, parse_override
from segkit.config.no_effect import check_none_twice
from segkit.config.overrides import CONFIG, NAMES, PATHS
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError

AS_TYPED = (*PATHS, *NAMES, CONFIG)
"""Keys whose commas belong to the value."""
_DISCRETE = "write the values as a,b,c or range(start,stop,step)"


@dataclass(frozen=True)
class Combination:
    """One training of a sweep: all its overrides, the value of every swept key as text, and what they compose."""

    words: tuple[str, ...]
    values: dict[str, str]
    config: TrainConfig

    @property
    def described(self) -> str:
        """The swept overrides."""
        return " ".join(f"{key}={value}" for key, value in self.values.items()) or "as given"


def combinations(overrides: Sequence[str]) -> list[Combination]:
    """Every combination of the values that KEY=VALUE words name, the last key changing fastest; all of them checked.

    Paths, and the names of channels and labels, are taken as typed, whatever commas they hold.

    >>> [each.values for each in combinations(["seed=0,1", "network.norm=group,instance", "fold=0"])]
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'seed': '0', 'network.norm': 'group'}, {'seed': '0', 'network.norm': 'instance'},
     {'seed': '1', 'network.norm': 'group'}, {'seed': '1', 'network.norm': 'instance'}]

    Raises:
        UsageError: as `segkit.config.compose.load`, for any combination; or a sweep that names no or endless values.
    """
    check_none_twice(overrides)
    options = [_values(word) for word in overrides]
    if any(len(values) > 1 for values in options) and any(
        word.startswith("run_dir=") for word in overrides
    ):
        raise UsageError(
            "run_dir names the folder of one run: leave it out, every run of a sweep gets its own"
        )
    return [_combined(chosen) for chosen in itertools.product(*options)]


def _combined(chosen: Sequence[tuple[str, dict[str, str]]]) -> Combination:
    words = tuple(word for word, _ in chosen)
    return Combination(
        words, {key: value for _, swept in chosen for key, value in swept.items()}, load(words)
    )


def _values(word: str) -> list[tuple[str, dict[str, str]]]:
    """The single overrides that a word stands for, each with what it adds to the swept values."""
    if word.partition("=")[0] in AS_TYPED:
        return [(word, {})]
    override = parse_override(word)
    if not override.is_sweep_override():
        return [(word, {})]
    key = override.key_or_group
    if not override.is_discrete_sweep() or "glob(" in word:
        raise UsageError(f"cannot sweep over {word!r}: {_DISCRETE}")
    values = list(override.sweep_string_iterator())
    if not values or len(set(values)) < len(values):
        raise UsageError(f"{word!r} names {'a value twice' if values else 'no value'}: {_DISCRETE}")
    return [(f"{key}={value}", {key: value}) for value in values]
