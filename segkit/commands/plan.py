"""segkit plan: measure a dataset and choose how to train on it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.commands.train_words import add_words, training_words
from segkit.config.checks import PLANNED
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.errors import UsageError, printable
from segkit.files.atomic import write_text
from segkit.planning.plan_dataset import measured_plan, open_dataset
from segkit.planning.plan_table import plan_table
from segkit.plans.plan_file import plan_text
from segkit.progress import CaseCounter


def run(arguments: Sequence[str]) -> int:
    """Plan a training, print the plan with its reasons, write it, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    config = load(words)
    if config.plan.file:
        raise UsageError(
            f"plan={config.plan.file} is for 'segkit train'; "
            "here -o PLAN says where the new plan goes"
        )
    dataset = open_dataset(config)
    with CaseCounter("measuring") as counter:
        plan, fingerprint = measured_plan(
            config, dataset, progress=counter.show, given=given_keys(words)
        )
    print(printable(plan_table(plan, fingerprint), lines=True))
    write_text(given.output, plan_text(plan))
    print(f"\nThe plan is in {given.output}. Edit it if you want, then train with")
    rest = [
        word for word in words if not all(key.startswith(PLANNED) for key in given_keys([word]))
    ]
    print(f"  segkit train {shlex.join([*rest, f'plan={given.output}'])}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="segkit plan",
        usage="segkit plan DATASET [KEY=VALUE ...] [--config YAML] [-o PLAN]",
        description="Measure a dataset, choose spacing, patch size, network and normalization for "
        "it, print this plan with the reasons, and write it.",
        epilog="Overrides are those of 'segkit train', "
        "such as network.dims=2 plan.memory=4GB plan.spacing=[1,1,2].",
    )
    add_words(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PLAN",
        default="plan.json",
        help="file for the plan (default: plan.json)",
    )
    return parser
