"""segkit study cross_validation: a report on held-out cases, and an ensemble of all folds."""

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

DETAILS = """\
The cases are divided into folds by patient: five (folds=N for another number), or fewer for few
patients; a split column of a CSV file is used as it is. All folds follow one plan, made from all
cases, and have the same precision, memory format and number of steps, which are measured once.
trainer.max_minutes (or trainer.max_steps) holds for each fold.
The same command continues an unfinished study; finished folds are not trained again.

Every case is predicted by the model that did not see it, and evaluated as by 'segkit evaluate'.
The bundle in the folder of the study is the ensemble of all folds. If keeping only the largest
connected component of a label improves its Dice, the ensemble does so.

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the study:
{keys}
"""

_LARGEST_ONLY = (
    "\nKeeping only the largest component of a label, "
    "adopted if it improves the mean over all cases:"
)


def run(arguments: Sequence[str]) -> int:
    """Train and predict, print the Dice of each fold and the paths, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    # Overrides are checked first: importing torch takes a second.
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
    paths = [
        ("ensemble", folder / "bundle"),
        ("report", folder / "report.html"),
        ("numbers", folder / "evaluation" / "metrics.csv"),
        ("label maps", folder / "predictions"),
    ]
    lines = [
        f"Dice of {result['cases']} cases, each predicted by the model that did not see it:",
        text_table(*fold_rows(result)),
    ]
    if common := in_common(result.get("trainings", [])):
        lines.append(common)
    header, gains = gain_rows(result["largest_piece"])
    if gains:
        lines += [_LARGEST_ONLY, text_table(header, gains)]
    lines += ["", *(f"  {name:<11}{path}" for name, path in paths)]
    lines.append(f"Predict with: segkit predict SCAN -m {shlex.quote(str(folder))}")
    return "\n".join(lines)


def _parser() -> Parser:
    parser = Parser(
        prog="segkit study cross_validation",
        usage="segkit study cross_validation DATASET [KEY=VALUE ...] [--config YAML] [--show]",
        description="Train one model per fold, evaluate each on the cases that it did not see, and "
        "combine all of them into an ensemble.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = lambda: DETAILS.format(keys=key_lines(without=["fold"]))
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the complete configuration and exit"
    )
    return parser
