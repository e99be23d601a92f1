"""segkit study tickets: does a sparse network train as well as the dense one, and why?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.commands.flags import Parser
from segkit.commands.train import key_lines
from segkit.commands.train_words import add_words, training_words
from segkit.config.compose import load, to_yaml
from segkit.config.study_words import given_settings, setting_lines, split_words
from segkit.progress import CaseCounter
from segkit.studies.tickets.settings import TicketSettings

DETAILS = """\
Trains the dense network, prunes a fraction of its weights by magnitude, sets the others back to
their values after the first steps, trains again, and so on (lottery tickets with rewinding). At
some levels it also trains controls: random weights of the same layers, the same mask on new
initial weights, and the same mask on the trained weights. All with several norms and seeds, on the
same patches. trainer.max_minutes (or trainer.max_steps) holds for each training.
The same command continues an unfinished study; finished trainings are not run again.

Results: results.csv, density.csv, activations.csv, figures, summary.json and report.html in the
folder of the study.

settings of the study (KEY=VALUE):
{settings}

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the study:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Train and compare, print the answers and the paths, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words, settings = split_words(training_words(given), TicketSettings)
    # Overrides are checked first: importing torch takes a second.
    config = load(words)
    if given.show:
        print(to_yaml(config), end="")
        print("\n".join(given_settings(settings)))
        return 0
    with CaseCounter("measuring") as counter:
        folder = segkit.studies.study_tickets(*words, settings=settings, progress=counter.show)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    print(_text(folder, summary))
    return 5 if summary["failed"] else 0


def _text(folder: Path, summary: dict[str, Any]) -> str:
    lines = [summary["facts"]]
    for answer in summary["answers"]:
        lines += ["", answer["question"], *(f"  {sentence}" for sentence in answer["sentences"])]
    return "\n".join([*lines, "", f"  report   {folder / 'report.html'}"])


def _parser() -> Parser:
    parser = Parser(
        prog="segkit study tickets",
        usage="segkit study tickets DATASET [KEY=VALUE ...] [--config YAML] [--show]",
        description="Prune, rewind and train again, over norms and seeds, and compare with "
        "controls.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = lambda: DETAILS.format(
        settings=setting_lines(TicketSettings), keys=key_lines(without="fold")
    )
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the complete configuration and exit"
    )
    return parser
