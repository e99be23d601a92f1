"""Studies: several trainings that answer one question, by calls of `fit` or `train`.

The names are imported on first use: the overrides of a sweep are checked before torch is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segkit.lazy_import import lazy_names

if TYPE_CHECKING:
    from segkit.studies.cross_validation.study import cross_validate
    from segkit.studies.measured_precision import measured_here
    from segkit.studies.normalization.bottleneck import write_bottleneck
    from segkit.studies.normalization.study import study_normalization
    from segkit.studies.pruning.study import prune
    from segkit.studies.scaling.study import study_scaling
    from segkit.studies.symmetry.study import study_symmetry
    from segkit.studies.tickets.study import study_tickets

__all__ = [
    "cross_validate",
    "measured_here",
    "prune",
    "study_normalization",
    "study_scaling",
    "study_symmetry",
    "study_tickets",
    "write_bottleneck",
]

__getattr__ = lazy_names(
    __name__,
    {
        "cross_validate": "segkit.studies.cross_validation.study",
        "measured_here": "segkit.studies.measured_precision",
        "study_normalization": "segkit.studies.normalization.study",
        "prune": "segkit.studies.pruning.study",
        "study_scaling": "segkit.studies.scaling.study",
        "study_symmetry": "segkit.studies.symmetry.study",
        "study_tickets": "segkit.studies.tickets.study",
        "write_bottleneck": "segkit.studies.normalization.bottleneck",
    },
)
