"""Facts about a model in words, as segkit info shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from segkit.bundle.precision_agreement import AGREEMENT_KEY, agreement_text
from segkit.quality.arrangement_entry import ARRANGEMENT_KEY
from segkit.quality.calibration import CALIBRATION_KEY
from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.records import accuracy_text, arrangement_text, calibration_text


def _folds_text(folds: Sequence[str]) -> str:
    """Return the networks of a model in words.

    >>> _folds_text(["0"]), _folds_text(["0", "1"])
    ('one network, of fold 0', '2 networks, of the folds 0, 1')
    """
    names = ", ".join(folds)
    if len(folds) == 1:
        return f"one network, of fold {names}"
    return f"{len(folds)} networks, of the folds {names}"


def _axes_text(axes: Sequence[int]) -> str:
    """Return the axes that a training mirrors in words.

    >>> _axes_text([0, 2]), _axes_text([])
    ('along x and z', 'none')
    """
    names = " and ".join("xyz"[axis] for axis in axes)
    return f"along {names}" if names else "none"


WORDS: dict[str, Callable[[Any], str]] = {
    "folds": _folds_text,
    "mirror_axes": _axes_text,
    "overlap": "{0[auto]:g} with predict --overlap auto: {0[reason]}".format,
    AGREEMENT_KEY: agreement_text,
    EXPECTED_KEY: accuracy_text,
    CALIBRATION_KEY: calibration_text,
    ARRANGEMENT_KEY: arrangement_text,
}
"""Functions that put facts into words."""
