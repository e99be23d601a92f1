"""A search without trainings: the objective is a formula.

python analytic.py FOLDER [KILL_AFTER] runs it, and kills itself after so many points.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from segkit.studies.search.batches import Batches
from segkit.studies.search.proposals import Proposer
from segkit.studies.search.search import Search
from segkit.studies.search.space import Axis, Point, Space
from segkit.studies.search.task import Task, Trained
from segkit.studies.search.trials import Record, Trials

SPACE = Space((Axis("width", 0.5, 4.0), Axis("depth", 0.5, 4.0), Axis("groups", choices=(2, 4, 8))))


def configuration(point: Point) -> tuple[int, int, int]:
    """Return whole numbers: several points are the same configuration."""
    return round(16 * float(point["width"])), round(4 * float(point["depth"])), int(point["groups"])


def dice(point: Point) -> float:
    width, depth, groups = configuration(point)
    return 0.9 - 1e-4 * (width - 30) ** 2 - 1e-3 * (depth - 6) ** 2 - 0.01 * (groups != 4)


def cost(point: Point) -> float:
    width, depth, _ = configuration(point)
    return width**2 * depth / 16.0


def constraints(point: Point) -> dict[str, float]:
    return {"cost": cost(point) / 400.0 - 1.0}


def name_of(point: Point) -> str:
    return "-".join(map(str, configuration(point)))


def train(records: Sequence[Record]) -> Iterator[Trained]:
    for record in records:
        yield Trained((dice(record.point), cost(record.point)))


def analytic_search(
    folder: Path,
    train: Callable[[Sequence[Record]], Iterator[Trained]] = train,
    *,
    size: int = 9,
    batch: int = 3,
    **options: Any,
) -> Search:
    """Return the search in a folder."""
    trials = Trials(folder, SPACE, ("maximize", "minimize"), "search", "analytic")
    proposer = Proposer(SPACE, ("maximize", "minimize"), seed=3, startup=3, **options)
    task = Task(name_of, constraints, train)
    return Search(trials, Batches(trials, proposer, task, size=size, batch=batch), task)


def main(folder: str, kill_after: str = "0") -> None:
    left = int(kill_after)

    def logged(records: Sequence[Record]) -> Iterator[Trained]:
        nonlocal left
        for record in records:
            with (Path(folder) / f"trained-{os.getpid()}.txt").open("a") as file:
                file.write(f"{record.number}\n")
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield from train([record])

    analytic_search(Path(folder), logged).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
