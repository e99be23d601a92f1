"""A name for a user that has none, while a library is imported that asks for one."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

NAMELESS = "segkit"


@contextmanager
def user_name() -> Iterator[None]:
    """Let `getpass.getuser` answer within the block.

    Containers and clusters run programs under user numbers without a passwd entry. MONAI (1.6.1) asks for the user's
    name while it is imported, for a report that nobody wants here, and the import ends with the error of that question.
    """
    try:
        getpass.getuser()
    except (
        KeyError,
        OSError,
        ImportError,
    ):  # the error depends on Python's version; Windows has no pwd
        os.environ["LOGNAME"] = NAMELESS
        try:
            yield
        finally:
            del os.environ["LOGNAME"]
    else:
        yield
