"""Many trainings and one answer: everything here calls `fit` or `train` several times.

The names are imported when they are first used: a sweep's words are checked before torch is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segkit.lazy_import import lazy_names

if TYPE_CHECKING:
    from segkit.studies.cross_validation.study import cross_validate
    from segkit.studies.measured_precision import measured_here

__all__ = ["cross_validate", "measured_here"]

__getattr__ = lazy_names(
    __name__,
    {
        "cross_validate": "segkit.studies.cross_validation.study",
        "measured_here": "segkit.studies.measured_precision",
    },
)
