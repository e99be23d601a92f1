"""Messages of other programs without the folders in them, which may name a person or a project."""

from __future__ import annotations

import re

from segkit.bundle.private_paths import last_part

_QUOTED = re.compile(r"'([^'\n]*[/\\][^'\n]*)'")
_PLAIN = re.compile(r"(?<![\w.'/-])(?:/|[A-Za-z]:\\)[^\s:'\"()]+")


def without_folders(text: str) -> str:
    """Return a message in which absolute paths, and quoted ones, are reduced to their last part.

    >>> without_folders("[Errno 13] Permission denied: '/home/me/my model/bundle.json'")
    "[Errno 13] Permission denied: 'bundle.json'"
    >>> without_folders("ImportError: /home/me/env/lib/_C.so: undefined symbol")
    'ImportError: _C.so: undefined symbol'
    """
    text = _QUOTED.sub(lambda match: f"'{last_part(match[1])}'", text)
    return _PLAIN.sub(lambda match: last_part(match[0]), text)
