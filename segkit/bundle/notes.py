"""notes.md: the user's own words on the card of a model, which segkit never changes.

A model that is made from another one by pruning begins with the notes of that one.
"""

from __future__ import annotations

import logging
from pathlib import Path

from segkit.bundle.archive import read_optional
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.units import size_text

log = logging.getLogger(__name__)

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


def carry_notes(model: Path, name: str, folder: Path) -> None:
    """Write the notes of a model, if it has some, into the folder of one that was made from it.

    A line above them says whose they are, unless it makes them too long. Notes that are in the
    folder already stay. Notes that cannot be read are left out with a warning.

    Args:
        model: bundle folder or .segkit file of the first model.
        name: name of the first model.
        folder: bundle folder of the second one.
    """
    try:
        notes = read_notes(model)
    except InputError as error:
        log.warning("the notes of %s are left out. %s", name, error)
        return
    if not notes or (folder / NOTES).exists():
        return
    text = f"Notes of the model {name}, from which this one was made:\n\n{notes}"
    write_text(folder / NOTES, text if len(text.encode()) <= LENGTH else notes)
