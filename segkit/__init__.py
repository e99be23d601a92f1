"""segkit: medical image segmentation with GroupNorm U-Nets.

The public names are imported on first use, so that ``import segkit`` takes no time.

>>> import segkit
>>> [name for name in sorted(segkit.__all__) if name.islower()]
['compare', 'evaluate', 'load', 'plan', 'read_volume', 'train', 'write_labels']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segkit._version import __version__ as __version__

if TYPE_CHECKING:
    from segkit.evaluation import compare, evaluate
    from segkit.inference import load
    from segkit.inference.prediction import Prediction
    from segkit.io import read_volume, write_labels
    from segkit.planning.plan_dataset import plan
    from segkit.training.run import train
    from segkit.volume import Volume

__all__ = [
    "Prediction",
    "Volume",
    "compare",
    "evaluate",
    "load",
    "plan",
    "read_volume",
    "train",
    "write_labels",
]

_HOMES = {
    "Prediction": "segkit.inference.prediction",
    "Volume": "segkit.volume",
    "compare": "segkit.evaluation",
    "evaluate": "segkit.evaluation",
    "load": "segkit.inference",
    "plan": "segkit.planning.plan_dataset",
    "read_volume": "segkit.io",
    "train": "segkit.training.run",
    "write_labels": "segkit.io",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
