"""Parser of a verb's flags, which suggests similar flags for an unknown one."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import NoReturn

UNKNOWN = "unrecognized arguments: "
"""Beginning of argparse's message about unknown flags."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, without abbreviations and with suggestions for an unknown flag."""

    override_hint: Callable[[str], str] | None = None
    """Function that suggests overrides (KEY=VALUE) for an unknown key, if the verb takes some."""

    make_epilog: Callable[[], str] | None = None
    """Function that returns the end of the help, for a text that takes time to compose."""

    settings: type | None = None
    """Dataclass of the settings of a study (`segkit.config.study_words`), for the reference."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]

    def format_help(self) -> str:
        """Return the text of --help."""
        if self.make_epilog:
            self.epilog = self.make_epilog()
        return super().format_help()

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
        if hint:
            return f"Write overrides as KEY=VALUE. {hint}"
        return f"'{self.prog} --help' lists the arguments."


def near_flags(flag: str, flags: Sequence[str]) -> list[str]:
    """Return the one or two flags that are most similar to an unknown one.

    >>> near_flags("--overlp", ["--overlap", "--overwrite", "-o"])
    ['--overlap']
    """
    plain = flag.lstrip("-").lower().replace("_", "-")
    long = {name.lstrip("-"): name for name in flags if name.startswith("--")}
    return [long[name] for name in difflib.get_close_matches(plain, long, n=2, cutoff=0.75)]
