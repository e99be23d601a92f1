"""segkit study normalization: the same network with different norms, batch sizes and seeds."""

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
from segkit.config.compose import to_yaml
from segkit.config.study_words import given_settings, setting_lines
from segkit.progress import CaseCounter
from segkit.report.tables import Cell, text_table
from segkit.studies.cells import check_all_done
from segkit.studies.normalization.settings import (
    SET_BY_STUDY,
    NormalizationSettings,
    read_words,
)

DETAILS = """\
Every norm is trained at every batch size with every seed. All trainings follow one plan, see the
same number of patches, and have the same precision and memory format, which are measured once.
In each cell Dice is measured at overlap 0, 0.25 and 0.5, with running statistics and with those of
a batch, and so are tile mismatch, convergence, gradients, statistics of every layer, time and
memory. The verdicts of report.html follow from intervals over cases and seeds.
The same command continues an unfinished study; finished cells are not run again. A cell that fails
is reported, and the others go on. More seeds, norms or batch sizes (up to the largest one) add
cells to the same study.

settings of the study:
{settings}

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the study:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Train and measure, print verdicts and paths, and return the exit code.

    Raises:
        SomeCasesFailed: some cells have no result; the others are done.
    """
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    # Everything is checked first: importing torch takes a second.
    _, settings, config = read_words(words)
    if given.show:
        print("\n".join(given_settings(settings)))
        print(f"# {len(settings.trainings())} trainings of {settings.samples} patches each")
        print(to_yaml(config), end="")
        return 0
    with CaseCounter("measuring") as counter:
        folder, results = segkit.studies.study_normalization(*words, progress=counter.show)
    print(_summary(folder))
    check_all_done(folder, results)
    return 0


def _summary(folder: Path) -> str:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = [_row(arm) for arm in summary["arms"]]
    header = ["norm", "batch size", "Dice", "low", "high", "gap", "seconds per step"]
    paths = [
        ("report", folder / "report.html"),
        ("numbers", folder / "results.csv"),
        ("summary", folder / "summary.json"),
    ]
    return "\n".join(
        [
            text_table(header, rows),
            "Dice has 95 % intervals over cases and seeds. The gap is Dice with running statistics "
            "minus Dice\nwith those of a batch.",
            "",
            *summary["verdict"],
            "",
            *(f"  {name:<8} {path}" for name, path in paths),
        ]
    )


def _row(arm: dict[str, Any]) -> list[Cell]:
    dice, gap = arm["dice"] or {}, arm["train_eval_gap"] or {}
    return [
        arm["norm"],
        arm["batch_size"],
        *(dice.get(name) for name in ("mean", "low", "high")),
        gap.get("mean"),
        arm["seconds_per_step"],
    ]


def _parser() -> Parser:
    parser = Parser(
        prog="segkit study normalization",
        usage="segkit study normalization DATASET [study.KEY=VALUE ...] [KEY=VALUE ...] "
        "[--config YAML] [--show]",
        description="Compare normalization layers at several batch sizes: Dice, seams between "
        "windows, convergence, gradients, memory and time.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = _details
    parser.settings = NormalizationSettings
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print settings and configuration, and exit"
    )
    return parser


def _details() -> str:
    return DETAILS.format(
        settings=setting_lines(NormalizationSettings), keys=key_lines(without=SET_BY_STUDY)
    )
