"""User name for the import of a library that asks for one, where the user has none."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

NAMELESS = "segkit"


@contextmanager
def user_name() -> Iterator[None]:
    """Make `getpass.getuser` work within the block.

    Containers and clusters run programs under user ids without a passwd entry. MONAI (1.6.1) calls
    getuser while it is imported, and the import fails with the error of that call.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        # Which error depends on Python's version; Windows has no module pwd.
        os.environ["LOGNAME"] = NAMELESS
        try:
            yield
        finally:
            del os.environ["LOGNAME"]
    else:
        yield
