"""Covariates whose effects ComBat keeps: numbers, and categories as one column for each level."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, first_few
from segkit.harmonization.measurements import is_number

log = logging.getLogger(__name__)

_FEW_NUMBERS = range(3, 6)
"""Numbers of different whole numbers that look like codes of categories."""


@dataclass(frozen=True)
class Covariate:
    """A covariate: a number, or a category whose first level is the reference."""

    name: str
    levels: tuple[str, ...] = ()
    """Levels of a category in order; empty for a number."""

    def columns(self, text: str) -> list[float] | None:
        """Return the columns of the design for one value; None for a value that is not usable.

        >>> Covariate("sex", ("F", "M")).columns("M"), Covariate("age").columns("63.5")
        ([1.0], [63.5])
        """
        if self.levels:
            known = text in self.levels
            return [float(text == level) for level in self.levels[1:]] if known else None
        return [float(text)] if is_number(text) else None


def covariate_of(name: str, texts: Sequence[str], where: str | Path = "table") -> Covariate:
    """Return a covariate: a number if all values are numbers, a category if none is.

    Args:
        name: name of its column.
        texts: its values in the training cases.
        where: the table, for messages.

    Raises:
        InputError: some are numbers and others are not, such as an age of "unknown".
    """
    others = [text for text in texts if not is_number(text)]
    if 0 < len(others) < len(texts):
        raise InputError(
            where,
            expected=f"numbers only, or names only, in the column {name}",
            found=f"{len(texts) - len(others)} numbers, and {first_few([*map(repr, others)])}",
            remedy="Leave a cell empty if its value is missing; write names for categories.",
        )
    if not others:
        distinct = {float(text) for text in texts}
        if len(distinct) in _FEW_NUMBERS and all(value.is_integer() for value in distinct):
            log.warning(
                "the covariate %s has only the numbers %s and is taken as a number; if they are "
                "codes of categories, write names instead",
                name,
                ", ".join(f"{value:g}" for value in sorted(distinct)),
            )
        return Covariate(name)
    return Covariate(name, tuple(sorted(set(texts))))


def design(
    covariates: Sequence[Covariate], values: Mapping[str, Mapping[str, str]], cases: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the columns (P,) of every case whose covariates are all usable.

    Args:
        covariates: the covariates.
        values: value of each covariate (outer key: its name) for each case.
        cases: the cases.
    """
    rows = {}
    for case in cases:
        parts = [each.columns(values[each.name].get(case, "")) for each in covariates]
        if all(part is not None for part in parts):
            rows[case] = np.array([number for part in parts for number in part or ()])
    return rows
