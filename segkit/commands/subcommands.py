"""A command of several named parts, each with a module of its own, such as ``segkit study``."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segkit.commands.flags import Parser
from segkit.errors import UsageError


@dataclass(frozen=True)
class Subcommands:
    """Parts of a command; the module of a part is imported only when its name is typed."""

    prog: str
    """The command, such as ``segkit study``."""
    usage: str
    """Line of usage, without "usage:"."""
    noun: str
    """Word for a part, such as "study"."""
    plural: str
    """Word for several parts at the start of a sentence, such as "Studies"."""
    modules: Mapping[str, tuple[str, str]]
    """Name of each part, with what it does and the module whose ``run(arguments)`` does it."""

    def run(self, arguments: Sequence[str]) -> int:
        """List the parts, or run one, and return the exit code.

        Raises:
            UsageError: an unknown part; the message names a similar one, or all of them.
        """
        name, *rest = arguments or ["--help"]
        if name in ("-h", "--help"):
            print(self.help_text(), end="")
            return 0
        if name.startswith("-"):
            Parser(self.prog, self.usage, add_help=False).error(f"unrecognized arguments: {name}")
        if name not in self.modules:
            near = difflib.get_close_matches(name, self.modules, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"{self.plural}: {self._names()}."
            raise UsageError(f"unknown {self.noun} {name!r}. {hint}")
        return int(importlib.import_module(self.modules[name][1]).run(rest))

    def help_text(self) -> str:
        """Return the text that the command prints without arguments."""
        width = max(map(len, self.modules)) + 2
        rows = "".join(f"  {name:<{width}}{text}\n" for name, (text, _) in self.modules.items())
        return f"usage: {self.usage}\n\n{rows}"

    def _names(self) -> str:
        return ", ".join(self.modules)
