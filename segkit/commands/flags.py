"""The parser of a verb's flags, which names near misses of a flag that it does not know."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import NoReturn

UNKNOWN = "unrecognized arguments: "
"""How argparse begins its word about flags that it does not know."""


class Parser(argparse.ArgumentParser):
    """argparse's, without abbreviations and with near misses. ``override_hint`` looks among KEY=VALUE words as well."""

    override_hint: Callable[[str], str] | None = None

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """End with exit code 2, the usage and the message."""
        if message.startswith(UNKNOWN):
            first = message.removeprefix(UNKNOWN).split()[0]
            message = f"{message}. {self._hint(first.partition('=')[0])}"
        super().error(message)

    def _hint(self, flag: str) -> str:
        near = near_flags(flag, [*self._option_string_actions])
        if near:
            return f"Did you mean {' or '.join(near)}?"
        key = flag.lstrip("-").replace("-", "_")
        hint = self.override_hint(key) if self.override_hint and flag.startswith("-") else ""
        return (
            f"Write overrides as KEY=VALUE. {hint}"
            if hint
            else f"'{self.prog} --help' lists what there is."
        )


def near_flags(flag: str, flags: Sequence[str]) -> list[str]:
    """Return the one or two flags that look most like one that is unknown.

    >>> near_flags("--overlp", ["--overlap", "--overwrite", "-o"])
    ['--overlap']
    """
    plain = flag.lstrip("-").lower().replace("_", "-")
    long = {name.lstrip("-"): name for name in flags if name.startswith("--")}
    return [long[name] for name in difflib.get_close_matches(plain, long, n=2, cutoff=0.75)]
