"""Command lines that platforms give to an image whose entry point is segkit."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

LEVELS = ("participant", "group")
"""Levels of analysis of BIDS Apps."""


def own_words(words: Sequence[str], verbs: Collection[str]) -> list[str]:
    """Return a command line that begins with a verb, or as it is if it is none of a platform.

    The name of the program in front is left out: an image whose entry point is segkit gets it
    where a platform gives the whole command line as arguments, as Kaapana does in Docker. The
    arguments of a BIDS App, BIDS_DIR OUTPUT_DIR LEVEL, get their verb.

    >>> own_words(["segkit", "predict", "scan.nii"], ["predict"])
    ['predict', 'scan.nii']
    """
    rest = list(words)
    if rest[:1] == ["segkit"]:
        del rest[0]
    is_app = len(rest) >= 3 and rest[0] not in verbs and rest[2] in LEVELS
    # A path that does not exist is a folder that was not mounted: run-as says so.
    is_path = is_app and (os.path.isdir(rest[0]) or os.path.isabs(rest[0]))
    return ["run-as", "bids", *rest] if is_path else rest
