"""notes.md: the user's own words on the card of a model. segkit reads it and never writes it."""

from __future__ import annotations

from pathlib import Path

from segkit.bundle.archive import read_optional
from segkit.errors import InputError
from segkit.units import size_text

NOTES = "notes.md"
LENGTH = 100_000
"""Largest size in bytes."""


def read_notes(bundle: Path) -> str:
    """Return the text of notes.md of a bundle folder or .segkit file; empty if there is none.

    Raises:
        InputError: a file that is larger than `LENGTH`, is not UTF-8, or is a link.
    """
    content = read_optional(bundle, NOTES)
    if content is None:
        return ""
    if len(content) > LENGTH:
        raise InputError(
            bundle / NOTES,
            expected=f"at most {size_text(LENGTH)}",
            found=size_text(len(content)),
            remedy="Shorten it, and refer to longer documents.",
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            bundle / NOTES,
            expected="text in UTF-8",
            found=str(error),
            remedy="Save it as UTF-8 text.",
        ) from error
