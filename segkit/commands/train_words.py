"""Combine DATASET, KEY=VALUE words and the file of --config into the overrides of a training.

Precedence: defaults < preset < the file of --config < the command line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.config.checks import is_replaced, near_keys
from segkit.config.keys import known_keys
from segkit.config.override_file import file_words
from segkit.config.overrides import (
    CONFIG,
    GROUPS,
    PATHS,
    PRESET,
    check_quotes,
    given_keys,
    read_overrides,
)
from segkit.errors import UsageError

log = logging.getLogger(__name__)

DATASET = "dataset"
DATASET_HELP = "a folder or CSV file with labeled scans, or dataset=PATH"
CONFIG_HELP = (
    "a YAML file with overrides, or the config.yaml of a run; the command line takes precedence"
)


def add_words(parser: Parser) -> None:
    """Add DATASET, KEY=VALUE words and --config; `training_words` turns them into overrides."""
    parser.override_hint = near_keys
    parser.add_argument(
        "words",
        nargs="*",
        metavar="DATASET | KEY=VALUE",
        help=f"{DATASET_HELP}; and any number of overrides",
    )
    parser.add_argument("--config", metavar="YAML", help=CONFIG_HELP)


def training_words(given: argparse.Namespace) -> list[str]:
    """Return the overrides that the parsed arguments of a command contain.

    Raises:
        UsageError: two datasets, a key given twice, or a wrong key in the file.
        InputError: a file that cannot be read.
    """
    check_quotes(given.words)
    words = with_dataset(given.words)
    typed = read_overrides(words).texts
    if given.config is None:
        return words
    from_file = file_words(given.config)
    if from_file is None:  # the config.yaml of a run
        return [f"{CONFIG}={given.config}", *words]
    dropped = [
        word for word in from_file if any(is_replaced(key, typed) for key in given_keys([word]))
    ]
    if dropped:
        log.info("the command line replaces %s in %s", ", ".join(dropped), given.config)
    return [*(word for word in from_file if word not in dropped), *words]


def with_dataset(words: Sequence[str]) -> list[str]:
    """Return the words with ``dataset=`` in front of the one that is a path.

    >>> with_dataset(["my scans (a=b), new", "seed=1"])
    ['dataset=my scans (a=b), new', 'seed=1']

    Raises:
        UsageError: two datasets, or an override that a space has split.
    """
    path_numbers = [number for number, word in enumerate(words) if _is_path(word)]
    named = [word for word in words if PATHS.get(word.partition("=")[0]) == "dataset.path"]
    if not path_numbers and not named and words and os.path.exists(words[0]):
        path_numbers = [0]  # a folder named like an override, such as seed=1
    datasets = [*named, *(words[number] for number in path_numbers)]
    if len(datasets) > 1:
        raise UsageError(_split_override(words) or _two_datasets(datasets))
    return [_dataset(word) if number in path_numbers else word for number, word in enumerate(words)]


def _dataset(path: str) -> str:
    return f"{DATASET}={'./' if path == 'null' else ''}{path}"  # dataset=null means none


def _split_override(words: Sequence[str]) -> str:
    """Return the error for an override typed with spaces, as KEY = VALUE; "" if there is none."""
    for word, *following in zip(words, words[1:], [*words[2:], ""], strict=False):
        value = following[1] if following[0] == "=" else following[0].removeprefix("=")
        key = word.removesuffix("=")
        if key in known_keys() and value and "=" not in value:
            return f"an override is one word without spaces: write {key}={value}"
    return ""


def _two_datasets(datasets: Sequence[str]) -> str:
    quoted = [word for word in datasets if word.startswith("'") and "=" in word]
    if quoted:
        return (
            f"{quoted[0]} still has its single quotes, which Windows does not remove: "
            "use double quotes."
        )
    return (
        f"two datasets: {' and '.join(map(repr, datasets))}. "
        "Give one; a path with spaces needs quotes, and an override is KEY=VALUE."
    )


def _is_path(word: str) -> bool:
    """Return whether a word cannot be an override.

    It has no KEY= in front, or it is an existing path and its KEY is unknown.
    """
    key, equals, _ = word.partition("=")
    name = key.lstrip("+~").partition("@")[0]
    if name in (*known_keys(), *GROUPS, *PATHS, PRESET, CONFIG):
        return not equals and os.path.exists(word)
    could_be_key = equals and all(part.isidentifier() for part in name.split("."))
    return not could_be_key or os.path.exists(word)  # False for a word too long for a path
