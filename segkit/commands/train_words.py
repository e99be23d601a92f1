"""Words of a command that trains, as typed: DATASET, KEY=VALUE words, and the file of --config; all become overrides.

Precedence: defaults < preset < the file of --config < the command line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.config.compose import known_keys, near_keys
from segkit.config.no_effect import check_none_twice, replaced
from segkit.config.override_file import file_words
from segkit.config.overrides import (
    CONFIG,
    GROUPS,
    PATHS,
    PRESET,
    check_braces,
    given_keys,
    given_values,
)
from segkit.errors import UsageError

log = logging.getLogger(__name__)

DATASET = "dataset"
DATASET_HELP = "a folder or CSV file with labelled scans; dataset=PATH says the same"
CONFIG_HELP = (
    "a YAML file with overrides, or the config.yaml of a run; the command line wins over it"
)


def add_words(parser: Parser) -> None:
    """Let ``parser`` take DATASET, KEY=VALUE words and --config; `training_words` makes overrides of them."""
    parser.override_hint = near_keys
    parser.add_argument(
        "words", nargs="*", metavar="DATASET | KEY=VALUE", help=f"{DATASET_HELP}; and overrides"
    )
    parser.add_argument("--config", metavar="YAML", help=CONFIG_HELP)


def training_words(given: argparse.Namespace) -> list[str]:
    """Return the overrides that the parsed words of a command stand for.

    Raises:
        UsageError: two datasets, a key given twice, or a wrong key in the file.
        InputError: a file that cannot be read.
    """
    check_braces(given.words)
    words = with_dataset(given.words)
    check_none_twice(words)
    if given.config is None:
        return words
    of_file = file_words(given.config)
    if of_file is None:  # of a run
        return [f"{CONFIG}={given.config}", *words]
    values = given_values(words)
    dropped = [word for word in of_file if any(replaced(key, values) for key in given_keys([word]))]
    if dropped:
        log.info("the command line takes the place of %s in %s", ", ".join(dropped), given.config)
    return [*(word for word in of_file if word not in dropped), *words]


def with_dataset(words: Sequence[str]) -> list[str]:
    """Return the words with ``dataset=`` in front of the one that is a path; the others are overrides.

    >>> with_dataset(["my scans (a=b), new", "seed=1"])
    ['dataset=my scans (a=b), new', 'seed=1']

    Raises:
        UsageError: two datasets.
    """
    places = [number for number, word in enumerate(words) if _is_path(word)]
    named = [word for word in words if PATHS.get(word.partition("=")[0]) == "dataset.path"]
    if not places and not named and words and os.path.exists(words[0]):
        places = [0]  # a folder named like an override, such as seed=1
    found = [*named, *(words[number] for number in places)]
    if len(found) > 1:
        raise UsageError(_split_override(words) or _two_datasets(found))
    return [_dataset(word) if number in places else word for number, word in enumerate(words)]


def _dataset(path: str) -> str:
    return f"{DATASET}={'./' if path == 'null' else ''}{path}"  # dataset=null means none


def _split_override(words: Sequence[str]) -> str:
    """Return the error for KEY = VALUE or KEY VALUE in several words, or "" where no such words are there."""
    for key, *rest in zip(words, words[1:], [*words[2:], ""], strict=False):
        value = rest[1] if rest[0] == "=" else rest[0].removeprefix("=")
        if key.removesuffix("=") in known_keys() and value and "=" not in value:
            return f"an override is one word without spaces: write {key.removesuffix('=')}={value}"
    return ""


def _two_datasets(found: Sequence[str]) -> str:
    named = " and ".join(map(repr, found))
    return f"two datasets: {named}. Give one; a path with spaces needs quotes, and an override is KEY=VALUE."


def _is_path(word: str) -> bool:
    """Whether a word cannot be an override: it has no KEY= in front, or it exists and its KEY is unknown."""
    key, equals, _ = word.partition("=")
    name = key.lstrip("+~").partition("@")[0]
    if name in (*known_keys(), *GROUPS, *PATHS, PRESET, CONFIG):
        return not equals and os.path.exists(word)
    could_be_key = equals and all(part.isidentifier() for part in name.split("."))
    return not could_be_key or os.path.exists(word)  # False for what is too long for a path
