"""segkit prune: a smaller and faster model from a trained one, within a budget."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import segkit.progress
import segkit.studies
from segkit.commands.flags import Parser
from segkit.commands.train import key_lines
from segkit.commands.train_words import CONFIG_HELP, DATASET_HELP, training_words
from segkit.config.checks import near_keys
from segkit.config.compose import load
from segkit.config.study_words import setting_lines, split_words
from segkit.errors import UsageError
from segkit.progress import CaseCounter
from segkit.report.pruning_page import (
    budget_sentence,
    channel_table,
    cost_table,
    dice_sentences,
    dice_table,
    machine_sentence,
)
from segkit.report.tables import text_table
from segkit.studies.pruning.settings import Budget, decided_keys

DETAILS = """\
In each round the channels of the network are ranked by how much the training loss would change
without them, the least important groups of channels are removed, and what remains is trained. Whole
groups are removed, so that the others keep their statistics: nothing but the removed channels
changes. The result is an ordinary model, smaller, which 'segkit predict' and all other commands
take. Its plan.json lists the channels of every layer.

The networks unet and residual_unet can be pruned, with the norms group, instance, batch,
batch_renorm and none.

budget (one of the first three):
{budget}

trainer.max_minutes=M (or trainer.max_steps=N) holds for all rounds together; the last one gets half
of it. Settings of the training that are not given here are those of the model's own training; so is
the fold, so that its validation cases stay unseen. The same command continues an interrupted
pruning.

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the pruning:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Prune, print cost and Dice before and after, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    # Overrides are checked first: importing torch takes a second.
    overrides, budget = split_words(words, Budget, "budget")
    _ = budget.kind
    if not load(overrides).dataset.path:
        raise UsageError("no dataset is given. Give dataset=PATH, a folder or a CSV file.")
    with CaseCounter("measuring") as counter:
        folder = segkit.studies.prune(
            given.model,
            *words,
            progress=counter.show,
            started=segkit.progress.process_start(),
        )
    print(summary(folder), end="")
    return 0


def summary(folder: Path) -> str:
    """Return what a finished pruning prints."""
    result = json.loads((folder / "pruning.json").read_text(encoding="utf-8"))
    header, dice = dice_table(result)
    lines = [
        text_table(*cost_table(result)),
        machine_sentence(result),
        budget_sentence(result),
        "",
        *([text_table(header, dice)] if dice else []),
        dice_sentences(result),
        "",
        text_table(*channel_table(result)),
        "",
        f"  {'model':<8} {folder / 'bundle'}",
        f"  {'report':<8} {folder / 'report.html'}",
        f"  {'numbers':<8} {folder / 'pruning.json'}",
        f"Predict with: segkit predict SCAN -m {shlex.quote(str(folder))}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _parser() -> Parser:
    parser = Parser(
        prog="segkit prune",
        usage="segkit prune MODEL DATASET budget.latency=0.5 [KEY=VALUE ...] [--config YAML]",
        description="Make a trained model smaller and faster: remove the channels that matter "
        "least, and train the rest.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = lambda: DETAILS.format(
        budget=setting_lines(Budget, "budget"), keys=key_lines(without=decided_keys())
    )
    parser.override_hint = near_keys
    parser.add_argument(
        "model", metavar="MODEL", help="a bundle or run folder, a .segkit file, or a model's name"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="DATASET | KEY=VALUE",
        help=f"{DATASET_HELP}; a budget; and any number of overrides",
    )
    parser.add_argument("--config", metavar="YAML", help=CONFIG_HELP)
    return parser
