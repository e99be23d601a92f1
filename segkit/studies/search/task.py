"""Objective of a search: names, limits and trainings of its points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segkit.studies.search.space import Point
from segkit.studies.search.trials import Record


@dataclass(frozen=True)
class Trained:
    """Result of the training of one point: a value for each objective, or why there is none."""

    values: tuple[float, ...] | None
    message: str = ""


@dataclass(frozen=True)
class Task:
    """Objective of a search, as functions of its points."""

    name_of: Callable[[Point], str]
    """Function that names the configuration of a point; points of equal names train alike."""
    constraints_of: Callable[[Point], Mapping[str, float]]
    """Function that returns how much a point exceeds each limit; 0 or less where it fits."""
    train: Callable[[Sequence[Record]], Iterator[Trained]]
    """Function that trains points and yields their results in order."""
    together: int = 1
    """Number of points that are given to ``train`` at a time."""
