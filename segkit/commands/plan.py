"""segkit plan: measure a dataset, decide, print the plan with its reasons, and write it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from segkit.config import load
from segkit.config_idle import PLANNED
from segkit.config_words import given_keys
from segkit.dataset_plan import measured_plan, open_dataset
from segkit.errors import UsageError
from segkit.files import write_text
from segkit.planning.table import plan_table
from segkit.plans import plan_text
from segkit.status_line import CaseCounter


def run(arguments: Sequence[str]) -> int:
    """Parse, plan, print, write; returns the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    config = load([f"dataset={given.dataset}", *given.overrides])
    if config.plan.file:
        raise UsageError(f"plan={config.plan.file} is for 'segkit train'; here -o PLAN says where the new plan goes")
    dataset = open_dataset(config)
    with CaseCounter("measuring") as counter:
        given_words = given_keys(given.overrides)
        decided, fingerprint = measured_plan(config, dataset, progress=counter.show, given=given_words)
    print(plan_table(decided, fingerprint))
    write_text(given.output, plan_text(decided))
    print(f"\nThe plan is in {given.output}. Edit it if you want, and train with")
    rest = [word for word in given.overrides if not all(key.startswith(PLANNED) for key in given_keys([word]))]
    print(f"  segkit train {shlex.join([f'dataset={given.dataset}', *rest, f'plan={given.output}'])}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit plan",
        description="Measure a dataset, decide how to train on it, print the plan with its reasons and write it.",
        epilog="Overrides are those of 'segkit train', such as network.dims=2 plan.memory=4GB plan.spacing=[1,1,2].",
        allow_abbrev=False,
    )
    parser.add_argument("dataset", metavar="DATASET", help="a folder or CSV file with labelled scans")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="bends of the rules")
    parser.add_argument("-o", "--output", metavar="PLAN", default="plan.json", help="where to write it (plan.json)")
    return parser
