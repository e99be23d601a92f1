"""Doctor: can this machine predict, and train, with the models that are here?

Facts are collected first, without judging them (`facts`, `packages`, `models`). The checks are pure
functions from facts to problems. Nothing here uses a network, and no fact has a name of a user, of
a host or of a folder, so that a report can be shown to strangers.

What needs torch is imported when it is first used: `segkit doctor --quick` starts without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segkit.lazy_import import lazy_names

if TYPE_CHECKING:
    from segkit.doctor.trial import tried

__all__ = ["tried"]

__getattr__ = lazy_names(__name__, {"tried": "segkit.doctor.trial"})
