"""segkit study cross_validation: overrides in, a folder with a report and an ensemble out."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import segkit.studies
from segkit.commands.flags import Parser
from segkit.commands.train import key_lines
from segkit.commands.train_words import add_words, training_words
from segkit.config.compose import load, to_yaml
from segkit.progress import CaseCounter
from segkit.report.tables import text_table
from segkit.studies.cross_validation.folds import check_overrides
from segkit.studies.cross_validation.table import fold_rows, gain_rows, in_common

MEANINGS = """\
Folds are made by patient: five (folds=N for N), or fewer where there are fewer patients; a split column of a CSV file
is taken as it is. All folds follow one plan, made from all cases, and have the same precision, memory layout and number
of steps, measured once. trainer.max_minutes (or trainer.max_steps) holds for each fold.
The same command goes on with an unfinished study; finished folds are not run again.

Every case is predicted by the model that did not see it, and evaluated as by 'segkit evaluate'. The folder's bundle is
the ensemble of all folds; where keeping only the largest piece of a label improves its Dice, it does so from then on.

overrides (KEY=VALUE), as of 'segkit train'; run_dir is the folder of the study:
{keys}
"""

_PIECES = "\nOnly the largest piece of a label, where that improves its mean over all cases:"


def run(arguments: Sequence[str]) -> int:
    """Parse, train and predict, print Dice per fold and where everything is; returns the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    # A wrong override is said at once, before the second that torch takes to import.
    config = load(words)
    check_overrides(config, words)
    if given.show:
        print(to_yaml(config), end="")
        return 0
    with CaseCounter("measuring") as counter:
        folder = segkit.studies.cross_validate(*words, progress=counter.show)
    print(_summary(folder))
    return 0


def _summary(folder: Path) -> str:
    result = json.loads((folder / "cross_validation.json").read_text(encoding="utf-8"))
    rows = [
        ("ensemble", folder / "bundle"),
        ("report", folder / "report.html"),
        ("numbers", folder / "evaluation" / "metrics.csv"),
        ("label maps", folder / "predictions"),
    ]
    pieces = gain_rows(result["largest_piece"])
    return "\n".join(
        [
            f"Dice of {result['cases']} cases, each predicted by the model that did not see it:",
            text_table(*fold_rows(result)),
            *filter(None, [in_common(result.get("trainings", []))]),
            *([_PIECES, text_table(*pieces)] if pieces[1] else []),
            "",
            *(f"  {name:<11}{path}" for name, path in rows),
            f"Predict with: segkit predict SCAN -m {shlex.quote(str(folder))}",
        ]
    )


class _Help(argparse.Action):
    """Composes the list of keys only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.epilog = MEANINGS.format(keys=key_lines(without="fold"))
        parser.print_help()
        parser.exit()


def _parser() -> Parser:
    parser = Parser(
        prog="segkit study cross_validation",
        usage="segkit study cross_validation DATASET [KEY=VALUE ...] [--config YAML] [--show]",
        description="Train a model per fold, say how good they are on cases they did not see, and make one of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="this text")
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the composed configuration and end"
    )
    return parser
