"""segkit study tickets: does a sparse network train as well as the dense one, and why?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.commands.cell_study import CellStudyCommand
from segkit.studies.cells import CellResult
from segkit.studies.tickets.settings import TICKETS

DETAILS = """\
Trains the dense network, prunes a fraction of its weights by magnitude, sets the others back to
their values after the first steps, trains again, and so on (lottery tickets with rewinding). At
some levels it also trains controls with as many weights in every layer:
  random     other weights, chosen at random, rewound as the ticket
  reinit     the ticket's mask on new initial weights
  finetune   the ticket's mask on the trained weights of the level before
All with several norms and seeds, on the same patches. trainer.max_minutes (or trainer.max_steps)
holds for each training. The same command continues an unfinished study; finished trainings are not
run again. One that fails is reported, and the others go on. More norms, seeds, levels or controls
add trainings to the same study.
"""


def run(arguments: Sequence[str]) -> int:
    """Train and compare, print the answers and the paths, and return the exit code.

    Raises:
        SomeCasesFailed: some trainings have no result; the others are done.
    """
    command = CellStudyCommand(
        TICKETS,
        _study,
        description="Prune, rewind and train again, over norms and seeds, and compare with "
        "controls.",
        details=DETAILS,
        size=lambda settings: f"{len(settings.trainings)} trainings",
        lines=_lines,
        cells="trainings",
    )
    return command.run(arguments)


def _study(*words: str, **options: Any) -> tuple[Path, list[CellResult]]:
    return segkit.studies.study_tickets(*words, **options)


def _lines(summary: dict[str, Any]) -> list[str]:
    """Return facts, questions and answers."""
    lines = [summary["facts"]]
    for answer in summary["answers"]:
        lines += ["", answer["question"], *(f"  {sentence}" for sentence in answer["sentences"])]
    return lines
