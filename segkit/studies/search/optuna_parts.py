"""Optuna, an optional package, and the parts of it that a search uses.

Optuna keeps names, numbers and JSON in its SQLite file; nothing in it is unpickled. Samplers that
pickle their state (CMA-ES) and the journal storage are not used.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from segkit.errors import UsageError
from segkit.studies.search.space import Axis, Space

INSTALL = "pip install 'segkit[search]'"

Direction = Literal["maximize", "minimize"]
SamplerName = Literal["tpe", "random"]


def load_optuna() -> Any:
    """Return the module optuna.

    Raises:
        UsageError: it is not installed, or is older than version 5.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise UsageError(f"a search needs the package optuna. Type: {INSTALL}") from error
    if not hasattr(optuna.trial.FrozenTrial, "set_constraint"):
        raise UsageError(
            f"a search needs optuna 5 or later, and {optuna.__version__} is installed. "
            f"Type: {INSTALL}"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions_of(space: Space) -> dict[str, Any]:
    """Return Optuna's distribution of each axis."""
    return {axis.name: _distribution(axis) for axis in space.axes}


def _distribution(axis: Axis) -> Any:
    distributions = load_optuna().distributions
    if axis.choices:
        return distributions.CategoricalDistribution(axis.choices)
    return distributions.FloatDistribution(axis.low, axis.high, log=True)


def new_study(directions: Sequence[Direction], sampler: Any = None) -> Any:
    """Return a study in memory."""
    return load_optuna().create_study(directions=list(directions), sampler=sampler)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hide Optuna's warnings within the block, in which what they warn of is intended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
