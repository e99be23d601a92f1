"""The space of a search: its axes, each with the range or the choices that were declared.

This module imports neither torch nor Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import InputError
from segkit.units import is_number

Value = float | int | str
Point = Mapping[str, Value]
"""Value by axis."""


@dataclass(frozen=True)
class Axis:
    """An axis: positive numbers from ``low`` to ``high``, logarithmic, or some choices."""

    name: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()

    def contains(self, value: object) -> bool:
        """Return whether a value is one of the choices, or a number within the range.

        >>> Axis("width", 0.5, 4.0).contains(4.1), Axis("shape", choices=("flat",)).contains("flat")
        (False, True)
        """
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        return is_number(value) and self.low <= float(str(value)) <= self.high

    def __str__(self) -> str:
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Space:
    """All axes of a search."""

    axes: tuple[Axis, ...]

    def check(self, point: Point, where: Path) -> None:
        """Check that a point has a value on each axis, and that each is in the declared range.

        Samplers and queued trials can have values outside of it, which Optuna takes with a warning
        only.

        Args:
            point: the point.
            where: file that it was read from.

        Raises:
            InputError: a value that is missing, of an unknown axis, or outside.
        """
        names = [axis.name for axis in self.axes]
        if sorted(point) != sorted(names):
            raise _outside(where, f"values of {', '.join(names)}", f"{', '.join(point) or 'none'}")
        for axis in self.axes:
            if not axis.contains(point[axis.name]):
                found = f"{axis.name}={point[axis.name]}"
                raise _outside(where, f"{axis.name} to be {axis}", found)


def _outside(where: Path, expected: str, found: str) -> InputError:
    return InputError(
        where,
        expected=expected,
        found=found,
        remedy="Remove the file: the same command proposes all points again, and what is trained "
        "is not trained again. Or widen the range in a new run_dir.",
    )
