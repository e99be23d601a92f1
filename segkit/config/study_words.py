"""Settings of a study: ``study.KEY=VALUE`` words, read into a frozen dataclass of that study.

The other words of the command line are overrides of its trainings. A dataclass of settings gives
each field a default and a rule by `setting`. Fields can have a prefix of their own, such as that
of ``budget.KEY=VALUE``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from segkit.config.compose import parse_override
from segkit.config.rules import Rule
from segkit.errors import UsageError
from segkit.units import is_number, is_whole

T = TypeVar("T")


def setting(default: Any, rule: Rule, text: str = "", *, prefix: str | None = None) -> Any:
    """Return a field of a dataclass of settings.

    Args:
        default: its default; a tuple for a setting whose value is a list.
        rule: the check of a value, and the allowed values in words.
        text: what it means, for the help and the reference.
        prefix: first part of its key, if it differs from that of the other settings.
    """
    metadata = {"rule": rule, "text": text, "prefix": prefix}
    return dataclasses.field(default=default, metadata=metadata)


def list_of(is_item: Callable[[Any], bool], items: str) -> Rule:
    """Return the rule of a list of one or more different items, such as ``[0,1,2]``.

    Args:
        is_item: whether an item is allowed.
        items: the allowed items in words, in the plural, with an example.
    """

    def check(value: Any) -> bool:
        is_list = isinstance(value, list) and len(value) > 0
        return is_list and all(map(is_item, value)) and len(set(value)) == len(value)

    return check, f"a list of different {items}"


def whole_numbers(least: int, example: str, *, most: float = math.inf) -> Rule:
    """Return the rule of a list of different whole numbers from ``least`` to ``most``."""
    limits = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
    return list_of(
        lambda item: is_whole(item, least, most), f"whole numbers {limits}, such as {example}"
    )


def words_of(names: Sequence[str], example: str) -> Rule:
    """Return the rule of a list of different words out of ``names``."""
    return list_of(lambda item: item in names, f"words such as {example}, out of {_or(names)}")


def whole_number(least: int, *, most: float = math.inf) -> Rule:
    """Return the rule of one whole number from ``least`` to ``most``."""
    limits = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
    return lambda value: is_whole(value, least, most), f"a whole number {limits}"


def number(low: float, high: float = math.inf) -> Rule:
    """Return the rule of one number from ``low`` to ``high``."""
    limits = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
    return lambda value: is_number(value) and low <= value <= high, f"a number {limits}"


def one_of(names: Sequence[str]) -> Rule:
    """Return the rule of one word out of ``names``."""
    return lambda value: value in names, _or(names)


def true_or_false() -> Rule:
    """Return the rule of a switch."""
    return lambda value: isinstance(value, bool), "true or false"


def split_words(
    words: Sequence[str], settings: type[T], prefix: str = "study"
) -> tuple[list[str], T]:
    """Return the words that are not settings of the study, and the settings.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Settings:
    ...     seeds: tuple[int, ...] = setting((0, 1), whole_numbers(0, "[0,1,2]"))
    >>> split_words(["dataset=scans", "study.seeds=[3]"], Settings)
    (['dataset=scans'], Settings(seeds=(3,)))

    Args:
        words: KEY=VALUE words.
        settings: a frozen dataclass whose fields are made by `setting`.
        prefix: first part of the keys, in front of a dot.

    Raises:
        UsageError: an unknown key, with similar keys; a key given twice; or a value that is not
            allowed.
    """
    others, own = parted(words, settings, prefix)
    values: dict[str, Any] = {}
    for word in own:
        field, value = _setting(word, settings, prefix)
        if field.name in values:
            raise UsageError(f"{_key(field, prefix)} is given twice: give it one value")
        values[field.name] = value
    return others, settings(**values)


def parted(
    words: Sequence[str], settings: Any, prefix: str = "study"
) -> tuple[list[str], list[str]]:
    """Return the words that are not settings of the study, and those that are.

    Arguments as `split_words`; no word is checked.
    """
    prefixes = {_key(field, prefix).partition(".")[0] for field in dataclasses.fields(settings)}
    own = [word for word in words if "." in word and word.partition(".")[0] in {prefix, *prefixes}]
    return [word for word in words if word not in own], own


def setting_lines(settings: Any, prefix: str = "study") -> str:
    """Return every setting with its default, its allowed values and its meaning."""
    return "\n".join(_setting_line(*row) for row in setting_rows(settings, prefix))


def setting_rows(settings: Any, prefix: str = "study") -> list[tuple[str, str, str, str]]:
    """Return name, default, allowed values and meaning of every setting."""
    return [
        (
            _key(field, prefix),
            _text(field.default),
            field.metadata["rule"][1],
            field.metadata["text"],
        )
        for field in dataclasses.fields(settings)
    ]


def given_settings(settings: Any, prefix: str = "study") -> list[str]:
    """Return settings as the words that set them, in the order of the fields."""
    return [
        f"{_key(field, prefix)}={_text(getattr(settings, field.name))}"
        for field in dataclasses.fields(settings)
    ]


def _setting_line(name: str, default: str, allowed: str, text: str) -> str:
    line = f"  {f'{name}={default}':<36} {text}{': ' if text else ''}{allowed}"
    return textwrap.fill(line, 100, subsequent_indent=" " * 39, break_on_hyphens=False)


def _key(field: Any, prefix: str) -> str:
    """Return the key of a setting as it is typed."""
    return f"{field.metadata.get('prefix') or prefix}.{field.name}"


def _setting(word: str, settings: Any, prefix: str) -> tuple[Any, Any]:
    """Return field and checked value of a ``study.KEY=VALUE`` word."""
    fields = {_key(field, prefix): field for field in dataclasses.fields(settings)}
    key = word.partition("=")[0]
    if key not in fields:
        raise UsageError(f"unknown setting {key!r}. {_near(key, list(fields))}")
    override = parse_override(word)
    if override.is_sweep_override():
        raise UsageError(f"{word!r} names several values: write a list as {key}=[a,b]")
    value = override.value()
    is_allowed, allowed = fields[key].metadata["rule"]
    if not is_allowed(value):
        raise UsageError(f"{key} must be {allowed}, not {_text(value)}")
    return fields[key], tuple(value) if isinstance(value, list) else value


def _near(key: str, keys: Sequence[str]) -> str:
    """Return which settings a key resembles, or all of them."""
    by_name = {known.partition(".")[2]: known for known in keys}
    near = difflib.get_close_matches(key.partition(".")[2], by_name, n=2, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(by_name[name] for name in near)}?"
    return f"The settings are {', '.join(keys)}."


def _text(value: Any) -> str:
    """Return a value as it is typed.

    >>> _text((0, 1)), _text(True), _text(None)
    ('[0,1]', 'true', 'null')
    """
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
