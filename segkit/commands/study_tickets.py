"""segkit study tickets: does a sparse network train as well as the dense one, and why?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import segkit.studies
from segkit.commands.flags import Parser
from segkit.commands.train import key_lines
from segkit.commands.train_words import add_words, training_words
from segkit.config.compose import to_yaml
from segkit.config.study_words import given_settings, setting_lines
from segkit.progress import CaseCounter
from segkit.studies.cells import check_all_done
from segkit.studies.tickets.settings import SET_BY_STUDY, TicketSettings, read_words

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

settings of the study:
{settings}

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the study:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Train and compare, print the answers and the paths, and return the exit code.

    Raises:
        SomeCasesFailed: some trainings have no result; the others are done.
    """
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    # Everything is checked first: importing torch takes a second.
    _, settings, config = read_words(words)
    if given.show:
        print("\n".join(given_settings(settings)))
        print(f"# {len(settings.trainings)} trainings")
        print(to_yaml(config), end="")
        return 0
    with CaseCounter("measuring") as counter:
        folder, results = segkit.studies.study_tickets(*words, progress=counter.show)
    print(_summary(folder))
    check_all_done(folder, results, "trainings")
    return 0


def _summary(folder: Path) -> str:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    lines = [summary["facts"]]
    for answer in summary["answers"]:
        lines += ["", answer["question"], *(f"  {sentence}" for sentence in answer["sentences"])]
    paths = [
        ("report", folder / "report.html"),
        ("numbers", folder / "results.csv"),
        ("summary", folder / "summary.json"),
    ]
    return "\n".join([*lines, "", *(f"  {name:<8} {path}" for name, path in paths)])


def _parser() -> Parser:
    parser = Parser(
        prog="segkit study tickets",
        usage="segkit study tickets DATASET [study.KEY=VALUE ...] [KEY=VALUE ...] "
        "[--config YAML] [--show]",
        description="Prune, rewind and train again, over norms and seeds, and compare with "
        "controls.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = _details
    parser.settings = TicketSettings
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print settings and configuration, and exit"
    )
    return parser


def _details() -> str:
    return DETAILS.format(
        settings=setting_lines(TicketSettings), keys=key_lines(without=SET_BY_STUDY)
    )
