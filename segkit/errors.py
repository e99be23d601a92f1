"""The errors that segkit raises on purpose, with the exit code of the command line.

SegkitError                 1   never raised itself
|-- UsageError              2   a flag, override or argument that makes no sense
|   `-- SeveralSeries           several DICOM series, of which one must be chosen
|-- InputError              3   a file or dataset that cannot be used as it is
|-- OutOfMemoryError        4   the work does not fit into the available memory
|-- ProcessLost             1   another process of the same training has ended
|-- SomeCasesFailed         5   some cases of many failed; the others are done
`-- Interrupted       128 + n   signal n ended the work early
"""

from __future__ import annotations

import re
from collections.abc import Collection
from os import PathLike

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that move the cursor, change colors, end a line or reverse the writing direction."""


def printable(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with control characters escaped, so that no file name acts on a terminal.

    Args:
        text: any text.
        lines: keep line ends and tabs.

    >>> print(printable("scan\\x1b[31m.nii"))
    scan\\u001b[31m.nii
    """

    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        return character if lines and character in "\n\t" else f"\\u{ord(character):04x}"

    return _CONTROL.sub(escaped, text)


def first_few(
    names: Collection[str], most: int = 3, *, separator: str = ", ", last: str = " and "
) -> str:
    """Return the first ``most`` names for a message, and how many more there are.

    Args:
        names: all of them, in order.
        most: number of names that are written out.
        separator: text between two names.
        last: text between the last name that is written out and the number of the others.

    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - most
    shown = separator.join(list(names)[:most])
    return f"{shown}{last}{rest} more" if rest > 0 else shown


class SegkitError(Exception):
    """Root of all errors that segkit raises on purpose."""

    exit_code = 1


class UsageError(SegkitError):
    """A flag, override or argument that makes no sense; the message says what to type instead."""

    exit_code = 2


class SeveralSeries(UsageError):
    """A DICOM folder or file has several series, and none was chosen; the message lists them.

    Attributes:
        found: the part of the message before the advice for a command line.
    """

    def __init__(self, found: str, advice: str) -> None:
        self.found = found
        super().__init__(f"{found}; {advice}")


class InputError(SegkitError):
    """A file or dataset that cannot be used.

    The message names it, what was expected, what was found and what to do.

    Attributes:
        where: the file or dataset.
        expected, found, remedy: the parts of the message.
        kind: "grid" for files on different grids, "not_finite" for voxels without a number,
            "label_values" for unknown label values, "" for everything else.
    """

    exit_code = 3

    def __init__(
        self,
        where: str | PathLike[str],
        *,
        expected: str,
        found: str,
        remedy: str,
        kind: str = "",
    ) -> None:
        self.where, self.kind = str(where), kind
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(f"{printable(str(where))}: expected {expected}, found {found}. {remedy}")


class OutOfMemoryError(SegkitError):
    """The work does not fit into the available memory; the message says what needs how much."""

    exit_code = 4


class SomeCasesFailed(SegkitError):
    """Some cases of many failed; the others are done and written."""

    exit_code = 5


class ProcessLost(SegkitError):
    """Another process of the same training has ended; its own message says why."""


class Interrupted(SegkitError):
    """A signal ended the work early, and what was done is saved.

    The exit code is 128 plus the number of the signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, numpy, torch or segkit ran out of memory.

    Errors of torch are recognized by their name and text, because torch is not imported here.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        phrase in str(error)
        for phrase in ("can't allocate memory", "not enough memory", "CUDA out of memory")
    )
