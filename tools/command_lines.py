"""Check command lines and overrides in the documentation without running them.

They are checked with the parsers of the verbs and the rules of the configuration.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import takewhile
from unittest import mock

from segkit.cli import VERBS
from segkit.commands.flags import Parser
from segkit.commands.harmonize import ACTIONS
from segkit.commands.run_as import PLATFORMS
from segkit.commands.study import STUDIES
from segkit.config.compose import load
from segkit.config.keys import known_keys
from segkit.config.overrides import GROUPS, PATHS, PRESET
from segkit.config.study_words import split_words
from segkit.config.sweep import combinations
from segkit.errors import SegkitError
from segkit.studies.pruning.settings import Budget

KEYS = {*known_keys(), *PATHS, *GROUPS, PRESET}
"""All keys of overrides."""
TRAINS = ("train", "plan", "prune", "study")
"""Verbs whose KEY=VALUE words are overrides of a training."""
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_0-9]*|\.\.\.|<[^>]+>")
"""Pattern of placeholders for a value: N, PATH, <name>."""


_MORE = ("[KEY=VALUE", "KEY=VALUE", "...", "...]")
"""Words that mean "any number of overrides"."""


class _Found(Exception):
    """Exception that carries the parser of a verb out of the function that would use it."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser


NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "study": STUDIES,
    "harmonize": ACTIONS,
    "run-as": PLATFORMS,
}
"""Verbs that are followed by a name, each of which has a parser of its own."""


def parser_of(verb: str, name: str = "") -> Parser:
    """Return the parser of a verb, or of one study or action."""

    def stop(parser: Parser, *_: object, **__: object) -> argparse.Namespace:
        raise _Found(parser)

    module = NAMES[verb][name][1] if name else VERBS[verb][1]
    with (
        mock.patch.object(Parser, "parse_args", stop),
        mock.patch.object(Parser, "parse_intermixed_args", stop),
    ):
        try:
            importlib.import_module(module).run([])
        except _Found as found:
            return found.parser
    raise LookupError(f"segkit {verb} {name} has no parser")


def flags() -> set[str]:
    """Return every flag of every verb."""
    parsers = [parser_of(verb) for verb in VERBS if verb not in NAMES]
    parsers += [parser_of(verb, name) for verb, names in NAMES.items() for name in names]
    own = {flag for parser in parsers for flag in parser._option_string_actions}
    return own | {"--version", "--json-log"}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words after ``segkit`` of every command line in a shell block or code span.

    >>> list(commands("srun segkit check DATASET  # is it sound?"))
    [['check', 'DATASET']]
    """
    for line in text.replace("\\\n", " ").split("\n"):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        for place, word in enumerate(words[:-1]):
            begins = place == 0 or words[place + 1] in VERBS
            if word == "segkit" and begins:
                yield [*takewhile(lambda word: word not in ("|", ">"), words[place + 1 :])]
                break


def problem(words: Sequence[str]) -> str:
    """Return the problem with the words after ``segkit``, or "" if there is none.

    >>> problem(["train", "DATASET", "trainer.max_minutes=60", "--resume"])
    ''
    >>> problem(["predict", "scan.nii.gz", "--overlp", "0.5"]).startswith("unrecognized")
    True
    """
    verb, *rest = [word.split("|")[0] for word in words if word not in _MORE]
    if verb in ("--help", "--version", "--json-log", "VERB", "help"):
        return ""
    if verb not in VERBS:
        return f"no verb {verb}"
    name = ""
    if verb in NAMES and rest:
        name, *rest = rest
        name = next(iter(NAMES[verb])) if name in ("NAME", "ACTION", "PLATFORM") else name
        if name not in NAMES[verb]:
            return f"no {'study' if verb == 'study' else 'action'} {name}"
    bare = not rest and verb != "models"  # the verb as a name: `segkit train`
    return "" if bare or "--help" in rest else _parsed_problem(verb, name, rest)


def _parsed_problem(verb: str, name: str, words: Sequence[str]) -> str:
    try:
        parser = parser_of(verb, name)
        given = _parse(parser, words)
        return _override_problem(verb, given, parser) if verb in TRAINS else ""
    except (_Refused, SegkitError) as error:
        return str(error)


class _Refused(Exception):
    """Message of a parser."""


def _parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    def refuse(_: Parser, message: str) -> None:
        raise _Refused(message)

    with mock.patch.object(Parser, "error", refuse), contextlib.redirect_stderr(io.StringIO()):
        try:
            return parser.parse_intermixed_args(words)
        except TypeError:
            return parser.parse_args(words)


def _override_problem(verb: str, given: argparse.Namespace, parser: Parser) -> str:
    """Return the problem with the KEY=VALUE words of a command that trains, or ""."""
    overrides = [word for word in given.words if "=" in word]
    if parser.settings:
        overrides = split_words([*filter(_has_value, overrides)], parser.settings)[0]
    if verb == "prune":
        overrides = split_words([*filter(_has_value, overrides)], Budget, "budget")[0]
    for word in overrides:
        if text := override_problem(word):
            return text
    real = ["dataset=DATASET", *filter(_has_value, overrides)]
    if verb == "train" and given.multirun:
        combinations(real)
    else:
        load(real)
    return ""


def override_problem(word: str) -> str:
    """Return the problem with the key of an override, or "" if there is none.

    >>> override_problem("trainer.max_step=5")
    'no override trainer.max_step'
    """
    key = word.partition("=")[0]
    return "" if key in KEYS else f"no override {key}"


def _has_value(word: str) -> bool:
    """Return whether the value is more than a placeholder, and not the dataset."""
    key, _, value = word.partition("=")
    return PATHS.get(key) != "dataset.path" and not _PLACEHOLDER.fullmatch(value)
