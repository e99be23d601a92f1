"""Search over the axes of compound scaling with Optuna, resumable and by several processes.

The function is imported on first use: its words are checked before torch is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segkit.lazy_import import lazy_names

if TYPE_CHECKING:
    from segkit.studies.search.study import study_scaling_search

__all__ = ["study_scaling_search"]

__getattr__ = lazy_names(__name__, {"study_scaling_search": "segkit.studies.search.study"})
